//! Schedules that are a function of the update's number.

use kiln_settings::Violation;
use serde::{Deserialize, Serialize};

use super::settings::{Follows, Settings};
use super::{Schedule, ScheduleStateError};

/// The settings of a schedule whose rate depends on nothing but the number of the update.
pub(super) trait RateByTime: Clone + Send {
    /// Whether the rate falls as a power of the updates for as long as the run lasts.
    const IS_A_POWER: bool;

    /// As [`Settings::example`].
    fn example(rate: f64, steps: u64) -> Self;

    /// The rate of update t, counted from 0 after the warm-up, where T updates follow the warm-up.
    fn rate_at(&self, t: u64, updates: u64) -> f64;

    /// The updates before the formula begins, over which the rate rises to its first one.
    fn warmup(&self) -> u64;

    /// The update at which the formula ends, if it is not the run's last one.
    fn last_step(&self) -> Option<u64> {
        None
    }

    /// Every broken rule in a run of `steps` updates.
    fn validate(&self, steps: u64) -> Vec<Violation>;
}

impl<R: RateByTime + 'static> Settings for R {
    fn example(rate: f64, steps: u64) -> Self {
        RateByTime::example(rate, steps)
    }

    fn follows(&self) -> Follows {
        if Self::IS_A_POWER { Follows::PowerOfTime } else { Follows::Time }
    }

    fn warmup(&self) -> u64 {
        RateByTime::warmup(self)
    }

    fn build(&self, steps: u64) -> (f64, Box<dyn Schedule>) {
        let updates = self.last_step().unwrap_or(steps).saturating_sub(RateByTime::warmup(self));
        (self.rate_at(0, updates), Box::new(ByTime::new(self.clone(), updates)))
    }

    fn validate(&self, steps: u64) -> Vec<Violation> {
        RateByTime::validate(self, steps)
    }
}

/// A formula with the number of updates made.
pub(super) struct ByTime<R> {
    formula: R,
    updates: u64,
    progress: Progress,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Progress {
    step: u64,
}

impl<R: RateByTime> ByTime<R> {
    /// `formula` over `updates` updates, before the first.
    pub(super) fn new(formula: R, updates: u64) -> Self {
        Self { formula, updates, progress: Progress { step: 0 } }
    }
}

impl<R: RateByTime> Schedule for ByTime<R> {
    fn observes_training(&self) -> bool {
        false
    }

    fn next_rate(&mut self) -> f64 {
        let t = self.progress.step;
        self.progress.step += 1;
        self.formula.rate_at(t, self.updates)
    }

    fn state(&self) -> serde_json::Value {
        serde_json::json!({ "step": self.progress.step })
    }

    fn restore(&mut self, state: serde_json::Value) -> Result<(), ScheduleStateError> {
        self.progress = serde_json::from_value(state)?;
        Ok(())
    }
}

/// How far a decay over T updates is at update t: t / T, 1 after its end.
pub(super) fn fraction(t: u64, updates: u64) -> f64 {
    if t >= updates { 1.0 } else { t as f64 / updates as f64 }
}

/// Half a cosine from `from` to `to` as `fraction` goes from 0 to 1 (Loshchilov and Hutter, "SGDR: Stochastic Gradient
/// Descent with Warm Restarts", 2017, equation 5): to + (from - to) (1 + cos(pi fraction)) / 2.
pub(super) fn half_cosine(from: f64, to: f64, fraction: f64) -> f64 {
    to + (from - to) * 0.5 * (1.0 + (std::f64::consts::PI * fraction).cos())
}
