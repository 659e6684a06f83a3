//! A rate that falls as 1 / t.

use kiln_settings::Violation;
use serde::{Deserialize, Serialize};

use super::by_time::RateByTime;
use super::rules;

/// `[schedule.inverse-time]`: the classical rates of stochastic approximation, whose sum diverges and whose sum of
/// squares
/// converges (Robbins and Monro, "A Stochastic Approximation Method", 1951).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct InverseTimeConfig {
    /// The first learning rate, > 0.
    pub rate: f64,
    /// Updates after which the rate is half of the first one, tau > 0. Default: none, the rate is `rate` / t.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_constant: Option<f64>,
    /// Updates over which the rate rises linearly to `rate` before it falls. Default `0`.
    #[serde(default)]
    pub warmup: u64,
}

impl RateByTime for InverseTimeConfig {
    const IS_A_POWER: bool = true;

    fn example(rate: f64, steps: u64) -> Self {
        Self { rate, time_constant: Some(steps as f64 / 10.0), warmup: steps / 20 }
    }

    /// With t from 0: eta_t = eta_0 / (1 + t / tau), or without tau eta_t = eta_0 / (t + 1).
    fn rate_at(&self, t: u64, _updates: u64) -> f64 {
        self.rate / (1.0 + t as f64 / self.time_constant.unwrap_or(1.0))
    }

    fn warmup(&self) -> u64 {
        self.warmup
    }

    fn validate(&self, _steps: u64) -> Vec<Violation> {
        let tau = self.time_constant.and_then(|tau| rules::positive("time-constant", tau));
        rules::positive("rate", self.rate).into_iter().chain(tau).collect()
    }
}
