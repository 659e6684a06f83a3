//! Up and down once.

use kiln_settings::Violation;
use serde::{Deserialize, Serialize};

use super::by_time::{RateByTime, half_cosine};
use super::rules;

/// `[schedule.one-cycle]` (Smith and Topin, "Super-Convergence: Very Fast Training of Neural Networks Using Large
/// Learning
/// Rates", 2018), two half cosines as `torch.optim.lr_scheduler.OneCycleLR` without its momentum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct OneCycleConfig {
    /// The highest rate, > 0.
    pub rate: f64,
    /// The first rate is `rate` divided by this, >= 1. Default `25.0`.
    #[serde(default = "default_start_divisor")]
    pub start_divisor: f64,
    /// The last rate is the first one divided by this, >= 1. Default `1e4`.
    #[serde(default = "default_final_divisor")]
    pub final_divisor: f64,
    /// The part of the updates in which the rate rises, in (0, 1). Default `0.3`.
    #[serde(default = "default_rising")]
    pub rising: f64,
    /// Updates over which the rate rises linearly to the first rate, before the cycle. Default `0`.
    #[serde(default)]
    pub warmup: u64,
    /// The update at which the cycle ends, above `warmup`. Default: `run.steps`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
}

fn default_start_divisor() -> f64 {
    25.0
}

fn default_final_divisor() -> f64 {
    1e4
}

fn default_rising() -> f64 {
    0.3
}

impl RateByTime for OneCycleConfig {
    const IS_A_POWER: bool = false;

    fn example(rate: f64, steps: u64) -> Self {
        Self {
            rate,
            start_divisor: default_start_divisor(),
            final_divisor: default_final_divisor(),
            rising: default_rising(),
            warmup: steps / 20,
            steps: None,
        }
    }

    /// With t from 0, T updates, rising part r, eta_0 = eta / start-divisor, eta_T = eta_0 / final-divisor: half a
    /// cosine from
    /// eta_0 to eta as t goes from 0 to r T - 1, then one to eta_T as t continues to T - 1.
    fn rate_at(&self, t: u64, updates: u64) -> f64 {
        let (t, last) = (t as f64, updates as f64 - 1.0);
        let (first_rate, top) = (self.rate / self.start_divisor, self.rising * updates as f64 - 1.0);
        // A cycle so short that nothing rises starts at the top.
        if t <= top && top > 0.0 {
            half_cosine(first_rate, self.rate, t / top)
        } else {
            half_cosine(self.rate, first_rate / self.final_divisor, ((t - top) / (last - top)).min(1.0))
        }
    }

    fn warmup(&self) -> u64 {
        self.warmup
    }

    fn last_step(&self) -> Option<u64> {
        self.steps
    }

    fn validate(&self, steps: u64) -> Vec<Violation> {
        let rising = rules::inside_unit("rising", self.rising)
            .map(|violation| violation.with_help("0.3 rises for the first 30 % of the updates"));
        let rules = [
            rules::positive("rate", self.rate),
            rules::at_least("start-divisor", 1.0, self.start_divisor),
            rules::at_least("final-divisor", 1.0, self.final_divisor),
            rising,
            rules::warmup_before(self.warmup, self.steps.unwrap_or(steps)),
        ];
        rules.into_iter().flatten().collect()
    }
}
