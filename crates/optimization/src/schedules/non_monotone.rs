//! A factor when a validation loss is worse than those of a while ago.

use kiln_settings::Violation;
use serde::{Deserialize, Serialize};

use super::settings::{Follows, Settings};
use super::trigger::NonMonotoneTrigger;
use super::{Schedule, ScheduleStateError, rules};

/// `[schedule.non-monotone]`: the rate is cut by the trigger at which NT-ASGD begins to average (Merity, Keskar and
/// Socher,
/// "Regularizing and Optimizing LSTM Language Models", 2018, Algorithm 1). For NT-ASGD itself the rate stays constant
/// and
/// the weights are averaged: `[averaging.non-monotone]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NonMonotoneConfig {
    /// The first learning rate, > 0.
    pub rate: f64,
    /// What the rate is multiplied by when it triggers, in (0, 1). Default `0.1`.
    #[serde(default = "tenth")]
    pub factor: f64,
    /// n: a loss triggers when it is worse than the best of all losses since the last cut but the newest n. Default
    /// `5`.
    #[serde(default = "default_patience")]
    pub patience: usize,
    /// Updates over which the rate rises linearly to `rate`, before losses count. Default `0`.
    #[serde(default)]
    pub warmup: u64,
}

fn tenth() -> f64 {
    0.1
}

fn default_patience() -> usize {
    5
}

impl Settings for NonMonotoneConfig {
    fn example(rate: f64, steps: u64) -> Self {
        Self { rate, factor: 0.5, patience: (steps / 50).max(1) as usize, warmup: steps / 20 }
    }

    fn follows(&self) -> Follows {
        Follows::Losses
    }

    fn warmup(&self) -> u64 {
        self.warmup
    }

    fn build(&self, _steps: u64) -> (f64, Box<dyn Schedule>) {
        let progress = Progress { rate: self.rate, trigger: NonMonotoneTrigger::new(self.patience) };
        (self.rate, Box::new(NonMonotone { factor: self.factor, progress }))
    }

    fn validate(&self, _steps: u64) -> Vec<Violation> {
        rules::positive("rate", self.rate).into_iter().chain(rules::shrinking("factor", self.factor)).collect()
    }
}

struct NonMonotone {
    factor: f64,
    progress: Progress,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Progress {
    rate: f64,
    trigger: NonMonotoneTrigger,
}

impl Schedule for NonMonotone {
    fn observes_training(&self) -> bool {
        false
    }

    fn observe_validation(&mut self, loss: f64) {
        if self.progress.trigger.observe(loss) {
            self.progress.rate *= self.factor;
            self.progress.trigger.reset();
        }
    }

    fn next_rate(&mut self) -> f64 {
        self.progress.rate
    }

    fn state(&self) -> serde_json::Value {
        serde_json::json!(self.progress)
    }

    fn restore(&mut self, state: serde_json::Value) -> Result<(), ScheduleStateError> {
        let Progress { rate, trigger } = serde_json::from_value(state)?;
        let trigger = trigger.with_patience(self.progress.trigger.patience());
        self.progress = Progress { rate, trigger };
        Ok(())
    }
}
