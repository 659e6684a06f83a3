//! Whether a measured mean is the expectation that theory gives exactly.

use crate::statistics::{Skewed, student_quantile};
use crate::verdict::{LEVEL, last_digits};
use crate::{Arithmetic, Trace, Window};

/// What a path says of an exact expectation.
#[derive(Debug, Clone, PartialEq)]
pub enum Agreement {
    /// No window's mean is significantly off.
    Agrees,
    /// One is, at a level of 5 % for all windows of a family of curves.
    Differs {
        /// The first update of the first such window.
        from: u64,
        /// Its last update.
        to: u64,
        /// The mean over the repeats and over the window.
        mean: f64,
        /// What it should be.
        exact: f64,
    },
    /// There are fewer than 20 repeats.
    TooFewRepeats,
    /// The mean hangs on few repeats: most of the expectation is in a tail that hardly any of them sees.
    HeavyTail,
}

/// Rounding takes no more of a number than this.
const ROUNDING: f64 = 1e-4;

/// With fewer the third moment, which the test corrects for, is a guess.
const FEWEST_REPEATS: usize = 20;

/// A window in which few repeats make the mean.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FewRepeats {
    /// The largest repeat's part of the sum of all.
    pub share: f64,
    /// The first update of the window.
    pub from: u64,
    /// Its last update.
    pub to: u64,
}

/// The worst window in which one repeat is more than a tenth of the sum and more than twenty times the mean.
pub(crate) fn few_repeats(trace: &Trace) -> Option<FewRepeats> {
    let enough = (20.0 / trace.repeats as f64).max(0.1);
    let share = |window: &Window| window.largest_share();
    let worst = trace.windows.iter().filter(|window| share(window) > enough);
    let worst = worst.max_by(|left, right| share(left).total_cmp(&share(right)))?;
    let (from, to) = updates(trace, worst);
    Some(FewRepeats { share: share(worst), from, to })
}

/// The first and the last update of a window.
fn updates(trace: &Trace, window: &Window) -> (u64, u64) {
    (trace.times[window.first], trace.times[window.end - 1])
}

impl Agreement {
    /// What the path of one of `family` curves says of `exact`, the expectation at each of its evaluations.
    ///
    /// The mean of each of W windows is compared by a two-sided test of Student at the level 5 % / (family W). Errors
    /// have their tail above: a mean that is low by chance comes with a standard error that is too small, and the plain
    /// test would call a tenth to a half of right curves wrong. Hall's correction for the third moment restores the
    /// level; a low mean comes with a low third moment too, so that below the expectation the larger of the window's
    /// own and the average one is taken. `examples/audit.rs` measures the level.
    pub fn of(trace: &Trace, exact: &[f64], family: usize, arithmetic: &Arithmetic) -> Self {
        let start = exact.first().copied().unwrap_or_default();
        // Nothing is random at the start: what F is off by there is how well it can be computed, which an
        // ill-conditioned Hessian makes worse.
        let rounding = trace.error.first().map_or(0.0, |band| (band.mean - start).abs());
        let rounding = if trace.is_noisy && rounding <= ROUNDING * start { 4.0 * rounding } else { 0.0 };
        let digits = last_digits(start, arithmetic) + rounding;
        let same = if arithmetic.is_double() { 1e-9 } else { 1e-2 };
        let is_off = |mean: f64, exact: f64| (mean - exact).abs() > same * exact.abs() + digits;
        if !trace.is_noisy {
            let mut pairs = trace.times.iter().zip(&trace.error).zip(exact);
            let off = pairs.find(|((_, band), exact)| is_off(band.mean, **exact));
            return off.map_or(Self::Agrees, |((t, band), exact)| Self::Differs {
                from: *t,
                to: *t,
                mean: band.mean,
                exact: *exact,
            });
        }
        if trace.repeats < FEWEST_REPEATS {
            return Self::TooFewRepeats;
        }
        if few_repeats(trace).is_some() {
            return Self::HeavyTail;
        }
        let moments: Vec<Skewed> = trace.windows.iter().map(|window| Skewed::of(&window.means)).collect();
        let skewness = moments.iter().map(|moments| moments.skewness).sum::<f64>() / moments.len() as f64;
        let quantile = student_quantile(trace.repeats, 1.0 - LEVEL / (2 * family * trace.windows.len()) as f64);
        for (window, moments) in trace.windows.iter().zip(&moments) {
            let expected = exact[window.first..window.end].iter().sum::<f64>() / (window.end - window.first) as f64;
            let low = moments.mean < expected;
            let skewness = if low { moments.skewness.max(skewness) } else { moments.skewness };
            if is_off(moments.mean, expected) && moments.hall(expected, skewness).abs() > quantile {
                let (from, to) = updates(trace, window);
                return Self::Differs { from, to, mean: moments.mean, exact: expected };
            }
        }
        Self::Agrees
    }
}
