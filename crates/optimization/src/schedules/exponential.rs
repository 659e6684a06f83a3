//! A rate that falls by a factor every update.

use kiln_settings::Violation;
use serde::{Deserialize, Serialize};

use super::by_time::RateByTime;
use super::rules;

/// `[schedule.exponential]`, as `torch.optim.lr_scheduler.ExponentialLR` stepped at every update.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ExponentialConfig {
    /// The first learning rate, > 0.
    pub rate: f64,
    /// What the rate is multiplied by at each update, in (0, 1); with 0.999 it is at 37 % after 1000 updates.
    pub factor: f64,
    /// Updates over which the rate rises linearly to `rate` before it falls. Default `0`.
    #[serde(default)]
    pub warmup: u64,
}

impl RateByTime for ExponentialConfig {
    const IS_A_POWER: bool = false;

    fn example(rate: f64, steps: u64) -> Self {
        Self { rate, factor: 0.1_f64.powf(1.0 / steps as f64), warmup: steps / 20 }
    }

    /// With t from 0: eta_t = eta_0 gamma^t.
    fn rate_at(&self, t: u64, _updates: u64) -> f64 {
        self.rate * self.factor.powf(t as f64)
    }

    fn warmup(&self) -> u64 {
        self.warmup
    }

    fn validate(&self, _steps: u64) -> Vec<Violation> {
        rules::positive("rate", self.rate).into_iter().chain(rules::shrinking("factor", self.factor)).collect()
    }
}
