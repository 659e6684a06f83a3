//! What is promised where F is not convex: gradients become small on average.

use crate::theorems::is_plain;
use crate::{Band, CurveConfig, Trace};

/// The mean of |grad F(w_t)|² over T updates at a constant rate eta <= 1 / L, beside
/// 2 (F(w_0) - F_inf) / (eta T) + eta L sigma² / b (Bottou, Curtis and Nocedal, Theorem 4.8), F_inf being 0.
///
/// L is estimated: the largest change of the gradient over the distance, along the path; sigma² / b is the mean of
/// what was met there, which is all that the theorem's proof takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stationarity {
    /// T.
    pub updates: usize,
    /// The mean over the updates, with its interval over the repeats.
    pub mean: Band,
    /// What it is at most.
    pub bound: f64,
    /// L, an estimate from below.
    pub smoothness: f64,
    /// sigma² / b, an estimate.
    pub noise: f64,
}

impl Stationarity {
    /// Of a path on an F that is never below 0; why the theorem is silent, where it is.
    ///
    /// # Errors
    /// The reason, as a clause; `None` where gradients were not looked at.
    pub(crate) fn of(trace: &Trace, curve: &CurveConfig) -> Option<Result<Self, String>> {
        let gradients = trace.gradients.as_ref()?;
        let start = trace.error.first()?.mean;
        let (Some(rate), true) = (curve.constant_rate(), is_plain(curve)) else {
            return Some(Err("the theorem is about plain gradient descent at a constant rate".into()));
        };
        let smoothness = gradients.smoothness;
        if rate * smoothness > 1.0 {
            let limit = 1.0 / smoothness;
            return Some(Err(format!("the rate {rate} is above 1/L = {limit:.4}, L estimated along the path")));
        }
        let updates = gradients.squares.len();
        let noise = gradients.noise.iter().sum::<f64>() / updates as f64;
        let bound = 2.0 * start / (rate * updates as f64) + rate * smoothness * noise;
        Some(Ok(Self { updates, mean: gradients.mean_square(), bound, smoothness, noise }))
    }

    /// Whether the mean is at most the bound, or above it only by chance.
    pub fn holds(&self) -> bool {
        self.mean.mean - self.mean.half_width <= self.bound
    }
}
