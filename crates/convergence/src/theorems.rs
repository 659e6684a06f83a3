//! What the theory says must happen.
//!
//! F is strongly convex with constant c and its gradient Lipschitz continuous with constant L; a mini-batch of b
//! samples gives an unbiased gradient of variance sigma² / b. The theorems are those of Bottou, Curtis and Nocedal,
//! "Optimization Methods for Large-Scale Machine Learning", 2018, with mu = M_G = 1 and M = sigma² / b.

use kiln_optimization::optimizers::OptimizerConfig;
use kiln_optimization::schedules::{InverseTimeConfig, ScheduleConfig};

use crate::exact::Momentum;
use crate::numbers::apart;
use crate::{Constants, CurveConfig};

/// A theorem, with what it says for a curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Theorem {
    /// The full gradient at a constant rate eta <= 1 / L: F(w_t) - F* <= (1 - eta c)^t (F(w_0) - F*).
    FullGradient {
        /// 1 - eta c.
        factor: f64,
    },
    /// Mini-batches at a constant rate eta <= 1 / L (Theorem 4.6):
    /// E F(w_t) - F* <= (1 - eta c)^t (F(w_0) - F* - floor) + floor with floor = eta L sigma² / (2 c b).
    ConstantRate {
        /// 1 - eta c.
        factor: f64,
        /// eta L sigma² / (2 c b).
        floor: f64,
    },
    /// Rates beta / (gamma + t), t from 0, with beta > 1 / c and beta / gamma <= 1 / L (Theorem 4.7): E F(w_t) - F* <=
    /// nu / (gamma + t) with nu = max(beta² L sigma² / (2 b (beta c - 1)), gamma (F(w_0) - F*)).
    DecreasingRate {
        /// nu.
        numerator: f64,
        /// gamma.
        offset: f64,
    },
}

/// A theorem for a curve that starts at some error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bound {
    /// The theorem.
    pub theorem: Theorem,
    /// F(w_0) - F*.
    pub start: f64,
}

impl Bound {
    /// The bound of `curve`, or why no theorem holds for it. `variance` is sigma², `start` F(w_0) - F*.
    ///
    /// # Errors
    /// The reason, as a clause.
    pub fn of(curve: &CurveConfig, constants: Option<&Constants>, variance: f64, start: f64) -> Result<Self, String> {
        let constants = constants.ok_or("F is not convex")?;
        if !is_plain(curve.optimizer.as_ref()) {
            return Err("the theorems are about plain gradient descent".into());
        }
        let noise = curve.batch.map_or(0.0, |batch| variance / batch as f64);
        let theorem = match &curve.schedule {
            ScheduleConfig::InverseTime(schedule) => decreasing(schedule, constants, noise, start)?,
            schedule => match schedule.constant_rate() {
                Some(rate) => constant(rate, constants, curve.batch.is_some().then_some(noise))?,
                None if matches!(schedule, ScheduleConfig::Constant(_)) => {
                    return Err("the theorem knows no warm-up".into());
                }
                None => return Err(format!("there is no theorem for the schedule `{}`", schedule.name())),
            },
        };
        Ok(Self { theorem, start })
    }

    /// The floor of the theorem, if it has one.
    pub fn floor(&self) -> Option<f64> {
        match self.theorem {
            Theorem::ConstantRate { floor, .. } => Some(floor),
            Theorem::FullGradient { .. } | Theorem::DecreasingRate { .. } => None,
        }
    }

    /// The bound after t updates.
    pub fn at(&self, t: u64) -> f64 {
        let kept = |factor: f64| factor.powi(i32::try_from(t).unwrap_or(i32::MAX));
        match self.theorem {
            Theorem::FullGradient { factor } => kept(factor) * self.start,
            // The same, without the difference of two numbers of which one may be far larger.
            Theorem::ConstantRate { factor, floor } => kept(factor) * self.start + (1.0 - kept(factor)) * floor,
            Theorem::DecreasingRate { numerator, offset } => numerator / (offset + t as f64),
        }
    }
}

/// Whether an optimizer is what the theorems are about: the gradient times the rate, and nothing else.
pub(crate) fn is_plain(optimizer: Option<&OptimizerConfig>) -> bool {
    Momentum::of(optimizer).is_some_and(|momentum| momentum.momentum == 0.0)
}

/// The assumption on the largest rate.
fn at_most_inverse_smoothness(rate: f64, constants: &Constants) -> Result<(), String> {
    let limit = 1.0 / constants.smoothness;
    // A rate of 1 / L that was rounded when it was written is meant to be 1 / L.
    if rate <= limit * (1.0 + 1e-9) {
        return Ok(());
    }
    let (rate, limit) = apart(rate, limit);
    Err(format!("the rate {rate} is above 1/L = {limit}"))
}

fn constant(rate: f64, constants: &Constants, noise: Option<f64>) -> Result<Theorem, String> {
    at_most_inverse_smoothness(rate, constants)?;
    // At 1 / L, rounded up, with c = L.
    let factor = (1.0 - rate * constants.strong_convexity).max(0.0);
    Ok(match noise {
        None => Theorem::FullGradient { factor },
        Some(noise) => Theorem::ConstantRate { factor, floor: rate * floor_per_rate(constants, noise) },
    })
}

fn decreasing(schedule: &InverseTimeConfig, constants: &Constants, noise: f64, start: f64) -> Result<Theorem, String> {
    if schedule.warmup > 0 {
        return Err("the theorem knows no warm-up".into());
    }
    at_most_inverse_smoothness(schedule.rate, constants)?;
    let offset = schedule.time_constant.unwrap_or(1.0);
    let beta = schedule.rate * offset;
    let progress = beta * constants.strong_convexity - 1.0;
    if progress <= 0.0 {
        let limit = 1.0 / constants.strong_convexity;
        let (beta, limit) = apart(beta, limit);
        return Err(format!("the rates fall as {beta} / t, and {beta} is not above 1/c = {limit}"));
    }
    let of_noise = beta * beta * constants.smoothness * noise / (2.0 * progress);
    Ok(Theorem::DecreasingRate { numerator: of_noise.max(offset * start), offset })
}

/// The error floor of a rate over that rate: L sigma² / (2 c b), `noise` = sigma² / b.
pub(crate) fn floor_per_rate(constants: &Constants, noise: f64) -> f64 {
    constants.smoothness * noise / (2.0 * constants.strong_convexity)
}

/// The power of t with which E F - F* falls in the end, for curves that fall as a power; `spectrum` is that of the
/// Hessian at w*.
///
/// Rates beta / t give t^(-min(1, 2 beta c)), and without noise t^(-2 beta c), where momentum makes beta 1 / (1 - mu)
/// times as large; rates that fall as 1 / sqrt(t) give their own power, since the error follows its floor; halving at a
/// multiple of the known floor takes twice as long each time, which is 1 / t. What other schedules do is no power of t,
/// or not one that theory gives.
pub(crate) fn power(curve: &CurveConfig, spectrum: &[f64]) -> Option<f64> {
    let momentum = Momentum::of(curve.optimizer.as_ref())?.momentum;
    let c = spectrum.iter().copied().fold(f64::INFINITY, f64::min);
    let is_noisy = curve.batch.is_some();
    match &curve.schedule {
        ScheduleConfig::InverseTime(schedule) => {
            let beta = schedule.rate * schedule.time_constant.unwrap_or(1.0) / (1.0 - momentum);
            Some(-if is_noisy { (2.0 * beta * c).min(1.0) } else { 2.0 * beta * c })
        }
        ScheduleConfig::InverseSquareRoot(_) | ScheduleConfig::Noam(_) if is_noisy => Some(-0.5),
        ScheduleConfig::ErrorFloor(_) if is_noisy && curve.tell_constants => Some(-1.0),
        _ => None,
    }
}
