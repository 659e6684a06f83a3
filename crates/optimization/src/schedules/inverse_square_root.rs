//! A rate that falls as 1 / sqrt(t).

use kiln_settings::Violation;
use serde::{Deserialize, Serialize};

use super::by_time::RateByTime;
use super::rules;

/// `[schedule.inverse-square-root]`: the rates under which averaged stochastic gradient descent is optimal
/// without strong convexity (Nemirovski, Juditsky, Lan and Shapiro, "Robust Stochastic Approximation Approach to
/// Stochastic
/// Programming", 2009, section 2.2).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct InverseSquareRootConfig {
    /// The first learning rate, > 0.
    pub rate: f64,
    /// Updates after which the rate is 1 / sqrt(2) of the first one, tau > 0. Default: none, the rate is `rate` /
    /// sqrt(t).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_constant: Option<f64>,
    /// Updates over which the rate rises linearly to `rate` before it falls. Default `0`.
    #[serde(default)]
    pub warmup: u64,
}

impl RateByTime for InverseSquareRootConfig {
    const IS_A_POWER: bool = true;

    fn example(rate: f64, steps: u64) -> Self {
        Self { rate, time_constant: None, warmup: steps / 20 }
    }

    /// With t from 0: eta_t = eta_0 / sqrt(1 + t / tau), or without tau eta_t = eta_0 / sqrt(t + 1).
    fn rate_at(&self, t: u64, _updates: u64) -> f64 {
        self.rate / (1.0 + t as f64 / self.time_constant.unwrap_or(1.0)).sqrt()
    }

    fn warmup(&self) -> u64 {
        self.warmup
    }

    fn validate(&self, _steps: u64) -> Vec<Violation> {
        let tau = self.time_constant.and_then(|tau| rules::positive("time-constant", tau));
        rules::positive("rate", self.rate).into_iter().chain(tau).collect()
    }
}
