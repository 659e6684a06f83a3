//! Powers of t that errors fall as.

use kiln_optimization::schedules::ScheduleConfig;

use crate::CurveConfig;
use crate::exact::Momentum;

/// The power of t with which E F - F* falls in the end, for curves that fall as a power; `spectrum` is that of the
/// Hessian at w*.
///
/// Rates beta / t give t^(-min(1, 2 beta c)), and without noise t^(-2 beta c), where momentum makes beta 1 / (1 - mu)
/// times as large; rates that fall as 1 / sqrt(t) give their own power, since the error follows its floor; halving at a
/// multiple of the known floor takes twice as long each time, which is 1 / t. What other schedules do is no power of t,
/// or not one that theory gives.
pub(crate) fn power(curve: &CurveConfig, spectrum: &[f64]) -> Option<f64> {
    let momentum = Momentum::of(curve)?.momentum;
    let c = spectrum.iter().copied().fold(f64::INFINITY, f64::min);
    let is_noisy = curve.batch.is_some();
    if curve.average {
        // The mean of all weights forgets the start as 1 / t and has a t-th of an update's noise.
        return curve.constant_rate().map(|_| if is_noisy { -1.0 } else { -2.0 });
    }
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
