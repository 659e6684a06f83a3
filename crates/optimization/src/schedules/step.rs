//! A rate that falls by a factor at regular intervals.

use kiln_settings::Violation;
use serde::{Deserialize, Serialize};

use super::by_time::RateByTime;
use super::rules;

/// `[schedule.step]`, as `torch.optim.lr_scheduler.StepLR`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct StepConfig {
    /// The first learning rate, > 0.
    pub rate: f64,
    /// Updates between two falls, >= 1.
    pub every: u64,
    /// What the rate is multiplied by at each fall, in (0, 1). Default `0.1`.
    #[serde(default = "tenth")]
    pub factor: f64,
    /// Updates over which the rate rises linearly to `rate`, before the first interval. Default `0`.
    #[serde(default)]
    pub warmup: u64,
}

fn tenth() -> f64 {
    0.1
}

impl RateByTime for StepConfig {
    const IS_A_POWER: bool = false;

    fn example(rate: f64, steps: u64) -> Self {
        Self { rate, every: steps / 5, factor: 0.5, warmup: steps / 20 }
    }

    /// With t from 0: eta_t = eta_0 gamma^floor(t / every).
    fn rate_at(&self, t: u64, _updates: u64) -> f64 {
        self.rate * self.factor.powf((t / self.every) as f64)
    }

    fn warmup(&self) -> u64 {
        self.warmup
    }

    fn validate(&self, _steps: u64) -> Vec<Violation> {
        let rules = [
            rules::positive("rate", self.rate),
            rules::whole_at_least("every", 1, self.every),
            rules::shrinking("factor", self.factor),
        ];
        rules.into_iter().flatten().collect()
    }
}
