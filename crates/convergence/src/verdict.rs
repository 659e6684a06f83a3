//! What the theorems and a path say together.
//!
//! A statement about every update at once has to allow for chance at every one of them, and a table of many curves for
//! each of those. The level of 5 % is therefore that of a family of curves, all that an experiment has: one experiment
//! in twenty, at most, calls a curve wrong although theory is right.

use crate::statistics::{confidence_half_width, student_quantile};
use crate::{Arithmetic, Band, Bound, Trace};

/// The chance that one of a family of curves is called wrong although theory is right.
pub(crate) const LEVEL: f64 = 0.05;

/// What a bound and a path say together.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Nowhere is the mean significantly above the bound.
    Holds {
        /// How many times the measured mean the bound is after update `until`.
        tightness: f64,
        /// The last update whose error is not mere rounding.
        until: u64,
    },
    /// The mean is significantly above it, at a level of 5 % for all updates of a family of curves.
    Broken {
        /// The first such update.
        step: u64,
        /// The mean there.
        error: f64,
        /// The bound there.
        bound: f64,
        /// How many updates there are at which it is.
        updates: usize,
    },
    /// The scatter is such that at most updates not even a bound of 0 could be broken.
    TooFewRepeats,
    /// There is no bound to compare with.
    NoTheorem,
    /// The error left every bound.
    Diverged {
        /// After this many updates.
        step: u64,
        /// The largest rate so far.
        rate: f64,
        /// 2 / L, beyond which plain gradient descent grows along the steepest direction of F; `None` where L is not
        /// known and for other optimizers, whose limits differ.
        limit: Option<f64>,
    },
}

/// Below this the digits of the arithmetic have ended, and the error with them.
pub(crate) fn last_digits(start: f64, arithmetic: &Arithmetic) -> f64 {
    start * if arithmetic.is_double() { 1e-15 } else { 1e-6 }
}

impl Verdict {
    /// What the path of one of `family` curves says of a bound.
    ///
    /// At each of m evaluations that the bound covers the mean is compared with the bound by a one-sided test of
    /// Student at the level 5 % / (family m) (Bonferroni): with R repeats the mean less the quantile of R - 1 degrees
    /// of freedom times its standard error has to be below the bound. Errors are never negative and have their tail
    /// above, which makes Student's statistic err on the other side: the test keeps its level with few repeats and
    /// heavy tails too.
    pub fn of(trace: &Trace, bound: &Bound, family: usize, arithmetic: &Arithmetic) -> Self {
        if trace.is_noisy && trace.repeats < 2 {
            return Self::TooFewRepeats;
        }
        let digits = last_digits(bound.start, arithmetic);
        // Bands are of 95 % at each update by itself.
        let evaluations = || trace.times.iter().copied().zip(&trace.error).filter(|(t, _)| bound.covers(*t));
        let compared = evaluations().count();
        let wider = if trace.is_noisy {
            student_quantile(trace.repeats, 1.0 - LEVEL / (family * compared) as f64)
                / confidence_half_width(trace.repeats)
        } else {
            0.0
        };
        let is_above =
            |(t, band): &(u64, &Band)| band.mean - wider * band.half_width > bound.at(*t) * (1.0 + 1e-9) + digits;
        if let Some((step, band)) = evaluations().find(is_above) {
            let updates = evaluations().filter(is_above).count();
            return Self::Broken { step, error: band.mean, bound: bound.at(step), updates };
        }
        // Repeats that are all the same say all there is.
        let says_nothing = |(_, band): &(u64, &Band)| band.half_width > 0.0 && wider * band.half_width >= band.mean;
        if 2 * evaluations().filter(says_nothing).count() > compared && trace.is_noisy {
            return Self::TooFewRepeats;
        }
        // Where the digits have ended, the ratio would be one of rounding.
        let (until, tightness) = evaluations()
            .rfind(|(_, band)| band.mean > digits)
            .map_or((0, 1.0), |(t, band)| (t, bound.at(t) / band.mean));
        Self::Holds { tightness, until }
    }
}
