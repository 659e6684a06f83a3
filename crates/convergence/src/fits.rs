//! What the measured curves say: factors, exponents, floors, each beside what theory gives for it.

use crate::Trace;
use crate::statistics::{Band, Line, confidence_half_width};

/// A number fitted to a curve.
///
/// A line through a finite window of a curve that bends is not the asymptote. So the same line goes through the exact
/// expectation, where there is one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fit {
    /// The number.
    pub value: f64,
    /// The half-width of its 95 % interval, from the scatter of groups of repeats; `None` where nothing is random.
    pub half_width: Option<f64>,
    /// The same fit to the exact expectation.
    pub exact: Option<f64>,
    /// What theory says it becomes in the end.
    pub limit: Option<f64>,
}

impl Fit {
    /// The same with its numbers changed by a rising function, whose slope at the value is `slope`.
    fn mapped(self, function: impl Fn(f64) -> f64, slope: f64) -> Self {
        Self {
            value: function(self.value),
            half_width: self.half_width.map(|half_width| half_width * slope),
            exact: self.exact.map(function),
            limit: self.limit,
        }
    }
}

/// Errors below this part of the first one are not fitted: the arithmetic has no more digits.
const LAST_DIGITS: f64 = 1e-14;

/// The factor by which the error shrinks with each update, from a line through its logarithm over the second half of
/// the evaluations (of those before the digits end).
pub(crate) fn factor_per_step(trace: &Trace, exact: Option<&[f64]>, limit: Option<f64>) -> Option<Fit> {
    let first = trace.error.first().map(|band| band.mean).unwrap_or_default();
    let whole = trace.error.iter().take_while(|band| band.mean > LAST_DIGITS * first).count();
    let line = |errors: &[f64]| {
        let points = (whole / 2..whole).map(|index| (trace.times[index] as f64, errors[index].ln()));
        Line::through(&points.filter(|(_, y)| y.is_finite()).collect::<Vec<_>>())
    };
    let slope = over_groups(trace, exact, limit, line)?;
    Some(slope.mapped(f64::exp, slope.value.exp()))
}

/// The exponent p of an error that falls as t^p, from a line through both logarithms over the last 90 % of the updates.
pub(crate) fn power_law(trace: &Trace, exact: Option<&[f64]>, limit: Option<f64>) -> Option<Fit> {
    let last = trace.times.last().copied().unwrap_or_default() as f64;
    // Equally spaced on the logarithmic axis, or the last updates alone would decide.
    let times = (0..=100).map(|place| last * 10_f64.powf(f64::from(place) / 100.0 - 1.0));
    let indices: Vec<usize> = times.map(|time| nearest(&trace.times, time)).collect();
    let line = |errors: &[f64]| {
        let points = indices.iter().filter(|index| trace.times[**index] > 0 && errors[**index] > 0.0);
        let points = points.map(|index| ((trace.times[*index] as f64).ln(), errors[*index].ln()));
        Line::through(&points.collect::<Vec<_>>())
    };
    over_groups(trace, exact, limit, line)
}

/// The index of the time nearest to `time`.
fn nearest(times: &[u64], time: f64) -> usize {
    let after = times.partition_point(|other| (*other as f64) < time).min(times.len().saturating_sub(1));
    let before = after.saturating_sub(1);
    let distance = |index: usize| (times[index] as f64 - time).abs();
    if distance(before) < distance(after) { before } else { after }
}

/// The mean error over the last quarter of the updates, with its interval over the repeats; `None` where the error is
/// not at rest, which shows in the quarter before: its mean differs by more than 5 % and two standard errors, or where
/// its standard error is above a quarter of it.
pub(crate) fn floor(trace: &Trace, exact: Option<&[f64]>, limit: Option<f64>) -> Option<Fit> {
    let quantile = confidence_half_width(trace.late_errors.len());
    let Band { mean, half_width } = Band::of(&trace.late_errors, quantile);
    let error = half_width / quantile;
    let last = trace.times.last().copied()?;
    let index = |time: u64| trace.times.partition_point(|other| *other < time);
    let (half, quarter) = (index(last / 2), index(last * 3 / 4));
    let before = &trace.error[half..quarter];
    if before.is_empty() {
        return None;
    }
    let mean_before = before.iter().map(|band| band.mean).sum::<f64>() / before.len() as f64;
    let is_at_rest = (mean_before - mean).abs() <= mean * 0.05 + 2.0 * error;
    // A few repeats far out that make the mean are no rest either.
    (is_at_rest && error <= 0.25 * mean).then(|| Fit {
        value: mean,
        half_width: Some(half_width),
        exact: exact.map(|exact| exact[quarter..].iter().sum::<f64>() / (exact.len() - quarter) as f64),
        limit,
    })
}

/// A slope of the mean curve, its interval from the slopes of the groups.
pub(crate) fn over_groups(
    trace: &Trace,
    exact: Option<&[f64]>,
    limit: Option<f64>,
    line: impl Fn(&[f64]) -> Option<Line>,
) -> Option<Fit> {
    let mean: Vec<f64> = trace.error.iter().map(|band| band.mean).collect();
    let of_groups: Vec<f64> = trace.groups.iter().filter_map(|group| line(group)).map(|line| line.slope).collect();
    Some(Fit {
        value: line(&mean)?.slope,
        half_width: (trace.is_noisy && of_groups.len() > 1).then(|| Band::of_95(&of_groups).half_width),
        exact: exact.and_then(&line).map(|line| line.slope),
        limit,
    })
}
