//! A factor when the loss hasn't improved for a while.

use kiln_settings::Violation;
use serde::{Deserialize, Serialize};

use super::settings::{Follows, Settings};
use super::{Schedule, ScheduleStateError, rules};

/// `[schedule.reduce-on-plateau]`, as `torch.optim.lr_scheduler.ReduceLROnPlateau` with a relative threshold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ReduceOnPlateauConfig {
    /// The first learning rate, > 0.
    pub rate: f64,
    /// What the rate is multiplied by on a plateau, in (0, 1). Default `0.1`.
    #[serde(default = "tenth")]
    pub factor: f64,
    /// Losses without an improvement that are let pass; the next one cuts the rate. Default `10`.
    #[serde(default = "default_patience")]
    pub patience: u64,
    /// The part of the best loss that a loss must lie below it to be an improvement, in [0, 1). Default `1e-4`.
    #[serde(default = "default_threshold")]
    pub threshold: f64,
    /// Losses after a cut that do not count. Default `0`.
    #[serde(default)]
    pub cooldown: u64,
    /// The rate that is not gone below, in [0, rate]. Default `0.0`.
    #[serde(default)]
    pub minimum_rate: f64,
    /// Which losses are watched: `validation` (one an evaluation) or `training` (one an update). Default `validation`.
    #[serde(default)]
    pub watch: Watched,
    /// Updates over which the rate rises linearly to `rate`, before losses count. Default `0`.
    #[serde(default)]
    pub warmup: u64,
}

/// Which losses a schedule looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Watched {
    /// The loss of each evaluation on the validation split.
    #[default]
    Validation,
    /// The loss of each training batch.
    Training,
}

fn tenth() -> f64 {
    0.1
}

fn default_patience() -> u64 {
    10
}

fn default_threshold() -> f64 {
    1e-4
}

impl Settings for ReduceOnPlateauConfig {
    fn example(rate: f64, steps: u64) -> Self {
        Self {
            rate,
            factor: 0.5,
            patience: steps / 50,
            threshold: default_threshold(),
            cooldown: 0,
            minimum_rate: 0.0,
            watch: Watched::Validation,
            warmup: steps / 20,
        }
    }

    fn follows(&self) -> Follows {
        Follows::Losses
    }

    fn warmup(&self) -> u64 {
        self.warmup
    }

    fn build(&self, _steps: u64) -> (f64, Box<dyn Schedule>) {
        let progress = Progress { rate: self.rate, best: None, bad: 0, cooling: 0 };
        (self.rate, Box::new(ReduceOnPlateau { config: self.clone(), progress }))
    }

    fn validate(&self, _steps: u64) -> Vec<Violation> {
        let rules = [
            rules::positive("rate", self.rate),
            rules::shrinking("factor", self.factor),
            rules::below_one("threshold", &[self.threshold]),
            rules::lower_rate("minimum-rate", self.minimum_rate, self.rate),
        ];
        rules.into_iter().flatten().collect()
    }
}

struct ReduceOnPlateau {
    config: ReduceOnPlateauConfig,
    progress: Progress,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Progress {
    rate: f64,
    best: Option<f64>,
    /// Losses since the best one.
    bad: u64,
    /// Losses that still do not count.
    cooling: u64,
}

impl ReduceOnPlateau {
    fn observe(&mut self, loss: f64) {
        let progress = &mut self.progress;
        if progress.best.is_none_or(|best| loss < best * (1.0 - self.config.threshold)) {
            progress.best = Some(loss);
            progress.bad = 0;
        } else {
            progress.bad += 1;
        }
        if progress.cooling > 0 {
            progress.cooling -= 1;
            progress.bad = 0;
        }
        if progress.bad > self.config.patience {
            progress.rate = (progress.rate * self.config.factor).max(self.config.minimum_rate);
            progress.cooling = self.config.cooldown;
            progress.bad = 0;
        }
    }
}

impl Schedule for ReduceOnPlateau {
    fn observe_training(&mut self, loss: f64) {
        if self.config.watch == Watched::Training {
            self.observe(loss);
        }
    }

    fn observes_training(&self) -> bool {
        self.config.watch == Watched::Training
    }

    fn observe_validation(&mut self, loss: f64) {
        if self.config.watch == Watched::Validation {
            self.observe(loss);
        }
    }

    fn next_rate(&mut self) -> f64 {
        self.progress.rate
    }

    fn state(&self) -> serde_json::Value {
        serde_json::json!(self.progress)
    }

    fn restore(&mut self, state: serde_json::Value) -> Result<(), ScheduleStateError> {
        self.progress = serde_json::from_value(state)?;
        Ok(())
    }
}
