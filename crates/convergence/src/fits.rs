//! What the measured curves say: rates, exponents, floors, with their errors.

use crate::Trace;
use crate::statistics::{Band, Line, confidence_half_width};

/// A fitted number with its standard error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The number.
    pub value: f64,
    /// Its standard error: from the scatter of groups of repeats, or of the points about the line where there is one
    /// repeat.
    pub error: f64,
}

/// Errors below this part of the first one are not fitted: the arithmetic has no more digits.
const LAST_DIGITS: f64 = 1e-14;

/// The factor by which the error shrinks with each update, from a line through its logarithm over the second half of
/// the
/// updates (of those before the digits end).
pub(crate) fn rate_per_step(trace: &Trace) -> Option<Estimate> {
    let slope = |errors: &[f64]| {
        let first = errors.first().copied().unwrap_or_default();
        let whole = errors.iter().take_while(|error| **error > LAST_DIGITS * first).count();
        let points: Vec<_> =
            (whole / 2..whole).map(|t| (t as f64, errors[t].ln())).filter(|(_, y)| y.is_finite()).collect();
        Line::through(&points)
    };
    let slope = over_groups(trace, slope)?;
    let value = slope.value.exp();
    Some(Estimate { value, error: value * slope.error })
}

/// The exponent p of an error that falls as t^p, from a line through both logarithms over the last 90 % of the updates.
pub(crate) fn power_law(trace: &Trace) -> Option<Estimate> {
    let slope = |errors: &[f64]| {
        let last = errors.len().saturating_sub(1) as f64;
        // Equally spaced on the logarithmic axis, or the last updates alone would decide.
        let times = (0..=100).map(|place| (last * 10_f64.powf(f64::from(place) / 100.0 - 1.0)).round() as usize);
        let points: Vec<_> =
            times.filter(|t| *t > 0 && errors[*t] > 0.0).map(|t| ((t as f64).ln(), errors[t].ln())).collect();
        Line::through(&points)
    };
    over_groups(trace, slope)
}

/// The mean error over the last quarter of the updates, with its standard error over the repeats; `None` where the
/// error is
/// not at rest, which shows in the quarter before: its mean differs by more than 5 % and two standard errors, or
/// where its
/// standard error is above a quarter of it.
pub(crate) fn floor(trace: &Trace) -> Option<Estimate> {
    let quantile = confidence_half_width(trace.late_errors.len());
    let Band { mean, half_width } = Band::of(&trace.late_errors, quantile);
    let error = half_width / quantile;
    let steps = trace.error.len();
    let before = &trace.error[steps / 2..steps * 3 / 4];
    let mean_before = before.iter().map(|band| band.mean).sum::<f64>() / before.len() as f64;
    let is_at_rest = (mean_before - mean).abs() <= mean * 0.05 + 2.0 * error;
    // A few repeats far out that make the mean are no rest either.
    (is_at_rest && error <= 0.25 * mean).then_some(Estimate { value: mean, error })
}

/// A slope of the mean curve, its error from the slopes of the groups.
fn over_groups(trace: &Trace, slope: impl Fn(&[f64]) -> Option<Line>) -> Option<Estimate> {
    let mean: Vec<f64> = trace.error.iter().map(|band| band.mean).collect();
    let whole = slope(&mean)?;
    let of_groups: Vec<f64> = trace.groups.iter().filter_map(|group| slope(group)).map(|line| line.slope).collect();
    let error = if of_groups.len() > 1 { Band::of(&of_groups, 1.0).half_width } else { whole.slope_error };
    Some(Estimate { value: whole.slope, error })
}

/// The first update after which `errors` is at most `epsilon`.
pub(crate) fn steps_to(errors: impl IntoIterator<Item = f64>, epsilon: f64) -> Option<u64> {
    errors.into_iter().position(|error| error <= epsilon).map(|t| t as u64)
}
