//! How many updates an error takes.

use crate::fits::steps_to;
use crate::statistics::{Band, Line};
use crate::{Estimate, Trace};

/// The updates until each of some errors is reached.
#[derive(Debug, Clone, PartialEq)]
pub struct IterationsTo {
    /// Epsilon, and after how many updates the mean of F(w_t) - F* is at most that; `None` where it never is.
    pub reached: Vec<(f64, Option<u64>)>,
    /// Updates for each factor e of 1 / epsilon: the slope against ln(1 / epsilon), a straight line where convergence
    /// is geometric.
    pub per_e_fold: Option<Estimate>,
    /// The exponent p of updates that grow as (1 / epsilon)^p: the slope of both logarithms.
    pub exponent: Option<Estimate>,
}

/// Counts the updates of a curve to each of `epsilons`.
pub(crate) fn iterations_to(trace: &Trace, epsilons: &[f64]) -> IterationsTo {
    let reached_by = |errors: &[f64]| -> Vec<(f64, Option<u64>)> {
        epsilons.iter().map(|epsilon| (*epsilon, steps_to(errors.iter().copied(), *epsilon))).collect()
    };
    let mean: Vec<f64> = trace.error.iter().map(|band| band.mean).collect();
    let reached = reached_by(&mean);
    let of_groups: Vec<_> = trace.groups.iter().map(|group| reached_by(group)).collect();
    // A group that misses an error that others reach would be fitted to other points.
    let reached_by_all =
        |index: &usize| reached[*index].1.is_some() && of_groups.iter().all(|group| group[*index].1.is_some());
    let common = (0..epsilons.len()).take_while(reached_by_all).count();
    let fit = |point: &dyn Fn(f64, u64) -> (f64, f64)| {
        let line = |reached: &[(f64, Option<u64>)]| {
            let points: Vec<_> = reached[..common]
                .iter()
                .filter_map(|(epsilon, steps)| steps.filter(|steps| *steps > 0).map(|steps| point(*epsilon, steps)))
                .collect();
            Line::through(&points)
        };
        let whole = line(&reached)?;
        let slopes: Vec<f64> = of_groups.iter().filter_map(|reached| line(reached)).map(|line| line.slope).collect();
        let error = if slopes.len() > 1 { Band::of(&slopes, 1.0).half_width } else { whole.slope_error };
        Some(Estimate { value: whole.slope, error })
    };
    let per_e_fold = fit(&|epsilon, steps| (-epsilon.ln(), steps as f64));
    let exponent = fit(&|epsilon, steps| (-epsilon.ln(), (steps as f64).ln()));
    IterationsTo { reached, per_e_fold, exponent }
}
