//! One rate.

use kiln_settings::Violation;
use serde::{Deserialize, Serialize};

use super::by_time::RateByTime;
use super::rules;

/// `[schedule.constant]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ConstantConfig {
    /// The learning rate, > 0 (rates above 1 are legal).
    pub rate: f64,
    /// Updates over which the rate rises linearly to its value. Default `0`.
    #[serde(default)]
    pub warmup: u64,
}

impl RateByTime for ConstantConfig {
    const IS_A_POWER: bool = false;

    fn example(rate: f64, steps: u64) -> Self {
        Self { rate, warmup: steps / 20 }
    }

    /// eta_t = eta.
    fn rate_at(&self, _t: u64, _updates: u64) -> f64 {
        self.rate
    }

    fn warmup(&self) -> u64 {
        self.warmup
    }

    fn validate(&self, _steps: u64) -> Vec<Violation> {
        rules::positive("rate", self.rate).into_iter().collect()
    }
}
