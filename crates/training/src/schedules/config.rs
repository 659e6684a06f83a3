//! `[schedule.*]`: which learning-rate schedule.

use kiln_models::Violation;
use serde::{Deserialize, Serialize};

use super::{Constant, Cosine, Schedule};

/// The schedule of a run: exactly one table under `[schedule]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum ScheduleConfig {
    /// One rate, after an optional warm-up.
    Constant(ConstantConfig),
    /// Warm-up, then half a cosine down to the final rate.
    Cosine(CosineConfig),
}

/// `[schedule.constant]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ConstantConfig {
    /// The learning rate, > 0 (rates above 1 are legal).
    pub rate: f64,
    /// Steps over which the rate rises linearly to its value. Default `0`.
    #[serde(default)]
    pub warmup: u64,
}

/// `[schedule.cosine]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CosineConfig {
    /// The highest rate, reached after the warm-up, > 0.
    pub rate: f64,
    /// The rate at the end, in [0, rate]. Default `0.0`.
    #[serde(default)]
    pub final_rate: f64,
    /// Steps over which the rate rises linearly to `rate`. Default `0`.
    #[serde(default)]
    pub warmup: u64,
    /// The step at which `final-rate` is reached, above `warmup`. Default: `run.steps`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
}

impl ScheduleConfig {
    /// The schedule of a run of `steps` updates, before its first one.
    pub fn build(&self, steps: u64) -> Box<dyn Schedule> {
        match self {
            Self::Constant(config) => Box::new(Constant::new(config)),
            Self::Cosine(config) => Box::new(Cosine::new(config, steps)),
        }
    }

    /// Every broken rule, keys relative to `[schedule]`, for a run of `steps` updates.
    pub fn validate(&self, steps: u64) -> Vec<Violation> {
        match self {
            Self::Constant(config) => positive_rate(config.rate).into_iter().map(|v| v.under("constant")).collect(),
            Self::Cosine(config) => config.validate(steps).into_iter().map(|v| v.under("cosine")).collect(),
        }
    }
}

impl CosineConfig {
    fn validate(&self, run_steps: u64) -> Vec<Violation> {
        let mut violations: Vec<_> = positive_rate(self.rate).into_iter().collect();
        // A broken rate is told already.
        let rate_is_right = violations.is_empty();
        if !(self.final_rate >= 0.0 && (self.final_rate <= self.rate || !rate_is_right)) {
            violations.push(Violation::new(
                "final-rate",
                format!("must be between 0 and the rate ({}), is {}", self.rate, self.final_rate),
            ));
        }
        let steps = self.steps.unwrap_or(run_steps);
        if self.warmup >= steps {
            violations.push(
                Violation::new("warmup", format!("must be below the steps of the decay ({steps}), is {}", self.warmup))
                    .with_help("a warm-up of 1 to 10 % of the steps is usual"),
            );
        }
        violations
    }
}

fn positive_rate(rate: f64) -> Option<Violation> {
    (!(rate > 0.0 && rate.is_finite())).then(|| Violation::new("rate", format!("must be above 0, is {rate}")))
}
