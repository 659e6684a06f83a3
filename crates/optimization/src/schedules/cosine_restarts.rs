//! Half a cosine, again and again.

use kiln_settings::Violation;
use serde::{Deserialize, Serialize};

use super::by_time::{RateByTime, fraction, half_cosine};
use super::rules;

/// `[schedule.cosine-restarts]`: cosine annealing with warm restarts (Loshchilov and Hutter, "SGDR: Stochastic Gradient
/// Descent with Warm Restarts", 2017, equation 5), as `torch.optim.lr_scheduler.CosineAnnealingWarmRestarts`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CosineRestartsConfig {
    /// The rate at each restart, > 0.
    pub rate: f64,
    /// The rate that each cosine falls towards, in [0, rate]. Default `0.0`.
    #[serde(default)]
    pub final_rate: f64,
    /// Updates of the first cosine, >= 1.
    pub period: u64,
    /// How many times longer each cosine is than the one before, >= 1. Default `1`.
    #[serde(default = "one")]
    pub period_growth: u64,
    /// Updates over which the rate rises linearly to `rate`, before the first cosine. Default `0`.
    #[serde(default)]
    pub warmup: u64,
}

fn one() -> u64 {
    1
}

impl CosineRestartsConfig {
    /// The update within its cosine, and that cosine's length.
    fn within(&self, t: u64) -> (u64, u64) {
        let (mut t, mut period) = (t, self.period);
        if self.period_growth == 1 {
            return (t % period, period);
        }
        while t >= period {
            t -= period;
            period = period.saturating_mul(self.period_growth);
        }
        (t, period)
    }
}

impl RateByTime for CosineRestartsConfig {
    const IS_A_POWER: bool = false;

    fn example(rate: f64, steps: u64) -> Self {
        Self { rate, final_rate: 0.0, period: steps / 10, period_growth: 2, warmup: steps / 20 }
    }

    /// In the cosine i of T_i = T_0 m^i updates, at its update t_i from 0:
    /// eta_t = eta_min + (eta - eta_min) (1 + cos(pi t_i / T_i)) / 2.
    fn rate_at(&self, t: u64, _updates: u64) -> f64 {
        let (t_i, period) = self.within(t);
        half_cosine(self.rate, self.final_rate, fraction(t_i, period))
    }

    fn warmup(&self) -> u64 {
        self.warmup
    }

    fn validate(&self, _steps: u64) -> Vec<Violation> {
        let rules = [
            rules::positive("rate", self.rate),
            rules::lower_rate("final-rate", self.final_rate, self.rate),
            rules::whole_at_least("period", 1, self.period),
            rules::whole_at_least("period-growth", 1, self.period_growth),
        ];
        rules.into_iter().flatten().collect()
    }
}
