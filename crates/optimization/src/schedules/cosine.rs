//! A rate that falls along half a cosine.

use kiln_settings::Violation;
use serde::{Deserialize, Serialize};

use super::by_time::{RateByTime, fraction, half_cosine};
use super::rules;

/// `[schedule.cosine]`: cosine annealing (Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm
/// Restarts", 2017,
/// equation 5, without restarts).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CosineConfig {
    /// The highest rate, reached after the warm-up, > 0.
    pub rate: f64,
    /// The rate at the end and after it, in [0, rate]. Default `0.0`.
    #[serde(default)]
    pub final_rate: f64,
    /// Updates over which the rate rises linearly to `rate`. Default `0`.
    #[serde(default)]
    pub warmup: u64,
    /// The update at which `final-rate` is reached, above `warmup`. Default: `run.steps`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
}

impl RateByTime for CosineConfig {
    const IS_A_POWER: bool = false;

    fn example(rate: f64, steps: u64) -> Self {
        Self { rate, final_rate: rate / 10.0, warmup: steps / 20, steps: None }
    }

    /// With t from 0 after the warm-up, T updates: eta_t = eta_T + (eta - eta_T) (1 + cos(pi min(1, t / T))) / 2.
    fn rate_at(&self, t: u64, updates: u64) -> f64 {
        half_cosine(self.rate, self.final_rate, fraction(t, updates))
    }

    fn warmup(&self) -> u64 {
        self.warmup
    }

    fn last_step(&self) -> Option<u64> {
        self.steps
    }

    fn validate(&self, steps: u64) -> Vec<Violation> {
        rules::decay(self.rate, self.final_rate, self.warmup, self.steps.unwrap_or(steps))
    }
}
