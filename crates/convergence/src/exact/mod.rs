//! Expectations that can be computed exactly: second moments of w - w* from update to update.
//!
//! They need rates that are known beforehand, and gradients that are linear in w: quadratics with noise that is the
//! same everywhere, and least squares with samples drawn with replacement.

mod additive;
mod averaged;
mod least_squares;

use kiln_optimization::optimizers::OptimizerConfig;

pub use additive::{AdditiveNoise, Direction};
#[cfg(test)]
pub(crate) use averaged::of_additive;
pub use least_squares::LeastSquares;

use crate::config::Sampling;
use crate::{CurveConfig, Trace};

/// A problem whose expectations can be computed.
#[derive(Clone, Copy)]
pub enum Model<'a> {
    /// The noise of the gradient is the same everywhere.
    Additive(&'a AdditiveNoise),
    /// The noise comes from drawing samples.
    LeastSquares(&'a LeastSquares),
}

/// Stochastic gradient descent as theory knows it: without a decay of the weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Momentum {
    /// Mu.
    pub momentum: f64,
    /// Whether it looks ahead.
    pub nesterov: bool,
}

impl Momentum {
    /// Of a curve, if it has that.
    pub(crate) fn of(curve: &CurveConfig) -> Option<Self> {
        match &curve.optimizer {
            _ if curve.accelerated => None,
            None => Some(Self { momentum: 0.0, nesterov: false }),
            Some(OptimizerConfig::Sgd(sgd)) if sgd.weight_decay == 0.0 => {
                Some(Self { momentum: sgd.momentum, nesterov: sgd.nesterov })
            }
            Some(_) => None,
        }
    }
}

/// What is exact about a curve.
#[derive(Debug, Clone, Default)]
pub(crate) struct Exact {
    /// E F(w_t) - F* at each of the times of a path.
    pub(crate) path: Option<Vec<f64>>,
    /// What it would have cost, where it was left out: multiplications, and how many are allowed.
    pub(crate) left_out: Option<(f64, f64)>,
    /// The value that it ends at, at a constant rate.
    pub(crate) floor: Option<f64>,
    /// The factor of the error with each update in the end, without noise and at a constant rate.
    pub(crate) factor: Option<f64>,
    /// The rate from which on E F grows without end, where that is less than 2 / L.
    pub(crate) stability_limit: Option<f64>,
}

/// Multiplications that an exact expectation may take: some seconds.
const MOST_WORK: f64 = 4e9;

impl Exact {
    /// What can be computed of a curve, given the rates that it had.
    pub(crate) fn of(model: Option<Model<'_>>, curve: &CurveConfig, trace: &Trace) -> Self {
        let (Some(model), Some(momentum)) = (model, Momentum::of(curve)) else {
            return Self::default();
        };
        if curve.batch.is_some() && curve.sampling == Sampling::Reshuffled {
            return Self::default();
        }
        if curve.average {
            let is_known = momentum.momentum == 0.0 && curve.schedule.is_by_time();
            return if is_known { averaged::exact(model, curve.batch, trace) } else { Self::default() };
        }
        let rate = curve.constant_rate();
        // Without noise the rates that were met are those of every repeat.
        let is_by_time = curve.schedule.is_by_time() || curve.polyak_step;
        match (model, curve.batch) {
            (Model::Additive(noise), _) => noise.exact(momentum, curve.batch, rate, is_by_time.then_some(trace)),
            // Without draws there is no noise.
            (Model::LeastSquares(data), None) => {
                data.quadratic().exact(momentum, None, rate, is_by_time.then_some(trace))
            }
            (Model::LeastSquares(data), Some(batch)) if momentum.momentum == 0.0 => {
                let stability_limit = data.stability_limit(batch, MOST_WORK);
                let work = data.work() * trace.rates.len() as f64;
                match is_by_time {
                    true if work <= MOST_WORK => {
                        let path = Some(data.path(batch, &trace.rates, &trace.times));
                        Self { path, stability_limit, ..Self::default() }
                    }
                    true => Self { left_out: Some((work, MOST_WORK)), stability_limit, ..Self::default() },
                    false => Self { stability_limit, ..Self::default() },
                }
            }
            (Model::LeastSquares(_), Some(_)) => Self::default(),
        }
    }
}
