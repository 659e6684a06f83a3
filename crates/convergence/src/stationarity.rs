//! What is promised where F is not convex: gradients become small on average.

use crate::statistics::{confidence_half_width, student_quantile};
use crate::theorems::is_plain;
use crate::verdict::LEVEL;
use crate::{Band, CurveConfig, Trace};

/// The mean of |grad F(w_t)|² over T updates at a constant rate eta <= 1 / L, beside
/// 2 (F(w_0) - F_inf) / (eta T) + eta L sigma² / b (Bottou, Curtis and Nocedal, Theorem 4.8), F_inf being 0.
///
/// sigma² / b is the mean of what was met along the paths, which is all that the theorem's proof takes. L is known, or
/// the largest change of the gradient over the distance along the path: then the theorem is not put to a test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stationarity {
    /// T.
    pub updates: usize,
    /// The mean over the updates, with its interval over the repeats.
    pub mean: Band,
    /// What it is at most.
    pub bound: f64,
    /// L.
    pub smoothness: f64,
    /// Whether L is known, or an estimate from below.
    pub is_known: bool,
    /// sigma² / b, an estimate.
    pub noise: f64,
    /// Whether the mean is at most the bound, or above it only by chance, at a level of 5 % for a family of curves.
    pub holds: bool,
}

impl Stationarity {
    /// Of the path of one of `family` curves on an F that is never below 0, with L where it is `known`; why the theorem
    /// is silent, where it is.
    ///
    /// The proof adds up what each update of a repeat lowers F by: the mean over the updates of |grad F|² - eta L
    /// |g - grad F|² has an expectation of at most 2 F(w_0) / (eta T). That number of each repeat is what is tested, so
    /// that the noise which was met is part of the interval.
    ///
    /// # Errors
    /// The reason, as a clause; `None` where gradients were not looked at.
    pub(crate) fn of(
        trace: &Trace,
        curve: &CurveConfig,
        known: Option<f64>,
        family: usize,
    ) -> Option<Result<Self, String>> {
        let gradients = trace.gradients.as_ref()?;
        let start = trace.error.first()?.mean;
        let (Some(rate), true, false) = (curve.constant_rate(), is_plain(curve), curve.average) else {
            return Some(Err("the theorem is about plain gradient descent at a constant rate".into()));
        };
        if curve.batch.is_some() && curve.sampling == crate::Sampling::Reshuffled {
            return Some(Err("the theorem is about samples drawn with replacement".into()));
        }
        let smoothness = known.unwrap_or(gradients.smoothness);
        if rate * smoothness > 1.0 + 1e-9 {
            let (rate, limit) = crate::apart(rate, 1.0 / smoothness);
            let estimate = if known.is_none() { ", L estimated along the path" } else { "" };
            return Some(Err(format!("the rate {rate} is above 1/L = {limit}{estimate}")));
        }
        if trace.is_noisy && trace.repeats < 2 {
            return Some(Err("one repeat says nothing of an expectation".into()));
        }
        let updates = gradients.squares.len();
        let noise = gradients.noise.iter().sum::<f64>() / updates as f64;
        let of_start = 2.0 * start / (rate * updates as f64);
        let balance = gradients.balance(rate * smoothness);
        let quantile = if trace.is_noisy { student_quantile(trace.repeats, 1.0 - LEVEL / family as f64) } else { 0.0 };
        let tested = balance.mean - quantile / confidence_half_width(trace.repeats) * balance.half_width;
        Some(Ok(Self {
            updates,
            mean: gradients.balance(0.0),
            bound: of_start + rate * smoothness * noise,
            smoothness,
            is_known: known.is_some(),
            noise,
            holds: tested <= of_start * (1.0 + 1e-9),
        }))
    }
}
