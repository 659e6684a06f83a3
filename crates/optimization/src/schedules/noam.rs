//! The schedule of the first transformer.

use kiln_settings::Violation;
use serde::{Deserialize, Serialize};

use super::by_time::RateByTime;
use super::rules;

/// `[schedule.noam]` (Vaswani et al., "Attention Is All You Need", 2017, equation 3).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NoamConfig {
    /// What the paper's rate is multiplied by, > 0. Default `1.0`.
    #[serde(default = "one")]
    pub factor: f64,
    /// d, the width of the model that the rate is meant for, >= 1.
    pub width: u64,
    /// W, the updates over which the rate rises linearly, part of the formula, >= 1. Default `4000`.
    #[serde(default = "default_warmup")]
    pub warmup: u64,
}

fn one() -> f64 {
    1.0
}

fn default_warmup() -> u64 {
    4000
}

impl RateByTime for NoamConfig {
    /// It is one behind the warm-up, which belongs to the formula.
    const IS_A_POWER: bool = false;

    fn example(rate: f64, steps: u64) -> Self {
        let (width, warmup) = (64, steps / 5);
        Self { factor: rate * (width as f64 * warmup as f64).sqrt(), width, warmup }
    }

    /// With t from 0 and s = t + 1: eta_t = factor d^(-1/2) min(s^(-1/2), s W^(-3/2)).
    fn rate_at(&self, t: u64, _updates: u64) -> f64 {
        let (s, d, w) = ((t + 1) as f64, self.width as f64, self.warmup as f64);
        self.factor * d.powf(-0.5) * s.powf(-0.5).min(s * w.powf(-1.5))
    }

    /// The warm-up is in the formula.
    fn warmup(&self) -> u64 {
        0
    }

    fn validate(&self, _steps: u64) -> Vec<Violation> {
        let rules = [
            rules::positive("factor", self.factor),
            rules::whole_at_least("width", 1, self.width),
            rules::whole_at_least("warmup", 1, self.warmup),
        ];
        rules.into_iter().flatten().collect()
    }
}
