//! A linear warm-up before any schedule.

use serde::{Deserialize, Serialize};

use super::{Schedule, ScheduleStateError, Theory};

/// W updates with rates that rise linearly to the first rate eta of the schedule behind them, eta (t + 1) / (W + 1), t from 0;
/// then that schedule, from its beginning. It is not shown what was seen at rates that are not its own.
pub(super) struct WarmUp {
    rate: f64,
    updates: u64,
    made: u64,
    behind: Box<dyn Schedule>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    warmed: u64,
    schedule: serde_json::Value,
}

impl WarmUp {
    /// `updates` updates that rise to `rate`, then `behind`.
    pub(super) fn new(rate: f64, updates: u64, behind: Box<dyn Schedule>) -> Self {
        Self { rate, updates, made: 0, behind }
    }

    fn is_over(&self) -> bool {
        self.made >= self.updates
    }
}

impl Schedule for WarmUp {
    fn observe_training(&mut self, loss: f64) {
        if self.is_over() {
            self.behind.observe_training(loss);
        }
    }

    fn observe_validation(&mut self, loss: f64) {
        if self.is_over() {
            self.behind.observe_validation(loss);
        }
    }

    fn observe_theory(&mut self, theory: Theory) {
        if self.is_over() {
            self.behind.observe_theory(theory);
        }
    }

    fn next_rate(&mut self) -> f64 {
        if self.is_over() {
            return self.behind.next_rate();
        }
        self.made += 1;
        self.rate * self.made as f64 / (self.updates + 1) as f64
    }

    fn state(&self) -> serde_json::Value {
        serde_json::json!({ "warmed": self.made, "schedule": self.behind.state() })
    }

    fn restore(&mut self, state: serde_json::Value) -> Result<(), ScheduleStateError> {
        let saved: Saved = serde_json::from_value(state)?;
        self.behind.restore(saved.schedule)?;
        self.made = saved.warmed;
        Ok(())
    }
}
