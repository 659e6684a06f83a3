//! A linear warm-up before any schedule.

use serde::{Deserialize, Serialize};

use super::{Schedule, ScheduleStateError, Theory};

/// W updates with rates that rise linearly to the first rate eta of the schedule behind them, eta (t + 1) / (W + 1),
/// t from 0;
/// then that schedule, from its beginning. It is not shown what was seen at rates that are not its own.
pub(super) struct WarmUp {
    /// The name of the schedule behind, so that another one's state is not taken for its own.
    name: &'static str,
    rate: f64,
    updates: u64,
    made: u64,
    behind: Box<dyn Schedule>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    name: String,
    warmed: u64,
    schedule: serde_json::Value,
}

impl WarmUp {
    /// `updates` updates that rise to `rate`, then `behind`, which is called `name`.
    pub(super) fn new(name: &'static str, rate: f64, updates: u64, behind: Box<dyn Schedule>) -> Self {
        Self { name, rate, updates, made: 0, behind }
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

    fn observes_training(&self) -> bool {
        self.behind.observes_training()
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
        serde_json::json!({ "name": self.name, "warmed": self.made, "schedule": self.behind.state() })
    }

    fn restore(&mut self, state: serde_json::Value) -> Result<(), ScheduleStateError> {
        let saved: Saved = serde_json::from_value(state)?;
        if saved.name != self.name {
            return Err(ScheduleStateError::Other { saved: saved.name, configured: self.name });
        }
        self.behind.restore(saved.schedule)?;
        self.made = saved.warmed;
        Ok(())
    }
}
