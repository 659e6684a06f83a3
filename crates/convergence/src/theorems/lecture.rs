//! The lecture's theorems, those of Bottou, Curtis and Nocedal, "Optimization Methods for Large-Scale Machine
//! Learning", 2018, with mu = M_G = 1 and M = sigma² / b.

use kiln_optimization::schedules::{InverseTimeConfig, ScheduleConfig};

use super::{Known, Theorem, constant_rate, is_plain};
use crate::numbers::apart;
use crate::{Constants, CurveConfig};

/// The lecture's theorem for a curve.
///
/// # Errors
/// Why it is silent, as a clause.
pub(super) fn theorem(curve: &CurveConfig, constants: &Constants, known: &Known<'_>) -> Result<Theorem, String> {
    if !is_plain(curve) {
        return Err("the theorems are about plain gradient descent".into());
    }
    if curve.average {
        return Err("the lecture's theorems are about the last weights, not about the mean of all".into());
    }
    if curve.polyak_step {
        return Err("the lecture's theorems know no Polyak step".into());
    }
    let noise = curve.batch.map_or(0.0, |batch| known.variance / batch as f64);
    match &curve.schedule {
        ScheduleConfig::InverseTime(schedule) => decreasing(schedule, constants, noise, known.start),
        schedule => constant(constant_rate(schedule)?, constants, curve.batch.is_some().then_some(noise)),
    }
}

/// The assumption on the largest rate.
pub(super) fn at_most_inverse_smoothness(rate: f64, constants: &Constants) -> Result<(), String> {
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
