//! How many updates an error takes.

use crate::fits::over_groups;
use crate::statistics::Line;
use crate::{Fit, Trace};

/// The updates until each of some errors is reached.
#[derive(Debug, Clone, PartialEq)]
pub struct IterationsTo {
    /// Epsilon, and after how many updates the mean of F(w_t) - F* is at most that; `None` where it never is.
    pub reached: Vec<(f64, Option<u64>)>,
    /// The same of the exact expectation, where there is one.
    pub exact: Option<Vec<Option<u64>>>,
    /// Updates for each factor e of 1 / epsilon: the slope against ln(1 / epsilon), a straight line where convergence
    /// is geometric.
    pub per_e_fold: Option<Fit>,
    /// The exponent p of updates that grow as (1 / epsilon)^p: the slope of both logarithms.
    pub exponent: Option<Fit>,
}

/// Counts the updates of a curve to each of `epsilons`; `factor` and `exponent` are what theory gives for the factor of
/// the error with each update and for its power of the updates in the end.
pub(crate) fn iterations_to(
    trace: &Trace,
    epsilons: &[f64],
    exact: Option<&[f64]>,
    factor: Option<f64>,
    exponent: Option<f64>,
) -> IterationsTo {
    let reached_by = |errors: &[f64]| -> Vec<Option<u64>> {
        epsilons.iter().map(|epsilon| steps_to(&trace.times, errors, *epsilon)).collect()
    };
    let mean: Vec<f64> = trace.error.iter().map(|band| band.mean).collect();
    let reached = reached_by(&mean);
    let all = trace.groups.iter().map(|group| reached_by(group)).chain([reached.clone()]);
    let all: Vec<_> = all.chain(exact.map(reached_by)).collect();
    // A group that misses an error that others reach would be fitted to other points.
    let common = (0..epsilons.len()).take_while(|index| all.iter().all(|reached| reached[*index].is_some())).count();
    let line = |errors: &[f64], y: fn(f64) -> f64| {
        let points = epsilons[..common].iter().zip(reached_by(errors));
        let points = points.filter_map(|(epsilon, steps)| Some((-epsilon.ln(), y(steps.filter(|t| *t > 0)? as f64))));
        Line::through(&points.collect::<Vec<_>>())
    };
    let fit = |y: fn(f64) -> f64, limit: Option<f64>| over_groups(trace, exact, limit, |errors| line(errors, y));
    let per_e_fold = fit(|steps| steps, factor.map(|factor| -1.0 / factor.ln()));
    let exponent = fit(f64::ln, exponent.map(|exponent| -1.0 / exponent));
    IterationsTo {
        exact: exact.map(reached_by),
        reached: epsilons.iter().copied().zip(reached).collect(),
        per_e_fold,
        exponent,
    }
}

/// The first update after which `errors` is at most `epsilon`, of those at which F was evaluated.
fn steps_to(times: &[u64], errors: &[f64], epsilon: f64) -> Option<u64> {
    errors.iter().position(|error| *error <= epsilon).map(|index| times[index])
}
