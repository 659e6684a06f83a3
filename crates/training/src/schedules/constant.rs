//! A constant rate.

use serde::{Deserialize, Serialize};

use super::{ConstantConfig, Schedule, ScheduleStateError};

/// One rate eta, after a linear warm-up of W updates: eta_t = eta min(1, (t + 1) / (W + 1)), t from 0.
pub struct Constant {
    rate: f64,
    warmup: u64,
    progress: Progress,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Progress {
    step: u64,
}

impl Constant {
    /// The schedule of `config` before its first update.
    pub fn new(config: &ConstantConfig) -> Self {
        Self { rate: config.rate, warmup: config.warmup, progress: Progress { step: 0 } }
    }
}

impl Schedule for Constant {
    fn next_rate(&mut self) -> f64 {
        let t = self.progress.step;
        self.progress.step += 1;
        warmed(self.rate, t, self.warmup)
    }

    fn state(&self) -> serde_json::Value {
        serde_json::json!({ "step": self.progress.step })
    }

    fn restore(&mut self, state: serde_json::Value) -> Result<(), ScheduleStateError> {
        self.progress = serde_json::from_value(state)?;
        Ok(())
    }
}

/// The rate of update t (from 0) of a linear warm-up of W updates to `rate`: rate (t + 1) / (W + 1), then `rate`.
pub(super) fn warmed(rate: f64, t: u64, warmup: u64) -> f64 {
    if t >= warmup { rate } else { rate * (t + 1) as f64 / (warmup + 1) as f64 }
}
