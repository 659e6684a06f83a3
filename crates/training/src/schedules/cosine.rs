//! Cosine annealing with a warm-up.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use super::constant::warmed;
use super::{CosineConfig, Schedule, ScheduleStateError};

/// Cosine annealing (Loshchilov and Hutter, "SGDR", 2017, equation 5, without restarts) after a linear warm-up.
pub struct Cosine {
    rate: f64,
    final_rate: f64,
    warmup: u64,
    steps: u64,
    progress: Progress,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Progress {
    step: u64,
}

impl Cosine {
    /// The schedule of `config` in a run of `run_steps` updates, before the first one.
    pub fn new(config: &CosineConfig, run_steps: u64) -> Self {
        Self {
            rate: config.rate,
            final_rate: config.final_rate,
            warmup: config.warmup,
            steps: config.steps.unwrap_or(run_steps),
            progress: Progress { step: 0 },
        }
    }

    /// The rate of update t, counted from 0, with warm-up W, end S, highest rate eta and final rate eta_S:
    ///
    /// eta (t + 1) / (W + 1) for t < W; eta_S + (eta - eta_S) (1 + cos(pi (t - W) / (S - W))) / 2 up to S; then eta_S.
    fn rate_at(&self, t: u64) -> f64 {
        if t < self.warmup {
            return warmed(self.rate, t, self.warmup);
        }
        if t >= self.steps {
            return self.final_rate;
        }
        let fraction = (t - self.warmup) as f64 / (self.steps - self.warmup) as f64;
        self.final_rate + (self.rate - self.final_rate) * 0.5 * (1.0 + (PI * fraction).cos())
    }
}

impl Schedule for Cosine {
    fn next_rate(&mut self) -> f64 {
        let t = self.progress.step;
        self.progress.step += 1;
        self.rate_at(t)
    }

    fn state(&self) -> serde_json::Value {
        serde_json::json!({ "step": self.progress.step })
    }

    fn restore(&mut self, state: serde_json::Value) -> Result<(), ScheduleStateError> {
        self.progress = serde_json::from_value(state)?;
        Ok(())
    }
}
