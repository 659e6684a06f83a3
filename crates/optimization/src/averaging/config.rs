//! `[averaging.*]`: whether the weights are averaged over the steps, and how.

use kiln_settings::{Violation, rules};
use serde::{Deserialize, Serialize};

/// The average that a run evaluates, samples and saves: one table under `[averaging]`, or none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum AveragingConfig {
    /// The plain mean from a given step on.
    Polyak(PolyakConfig),
    /// A mean that forgets exponentially.
    Exponential(ExponentialConfig),
    /// The plain mean from where the validation loss stops falling.
    NonMonotone(NonMonotoneConfig),
}

/// `[averaging.polyak]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PolyakConfig {
    /// The first update whose weights are in the mean, counted from 1.
    pub start: u64,
}

/// `[averaging.exponential]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ExponentialConfig {
    /// How much of the average is kept at each update, in [0, 1). Default `0.999`.
    pub decay: f64,
    /// Whether the weights of the mean are brought to a sum of one, so that a young average is not mostly the first
    /// update's weights. Default `true`.
    pub bias_correction: bool,
}

impl Default for ExponentialConfig {
    fn default() -> Self {
        Self { decay: 0.999, bias_correction: true }
    }
}

/// `[averaging.non-monotone]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct NonMonotoneConfig {
    /// How many of the newest evaluations a validation loss is not compared with, >= 1. Default `5`.
    pub patience: usize,
}

impl Default for NonMonotoneConfig {
    fn default() -> Self {
        Self { patience: 5 }
    }
}

impl AveragingConfig {
    /// The name of the table: `polyak`, `exponential` or `non-monotone`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Polyak(_) => "polyak",
            Self::Exponential(_) => "exponential",
            Self::NonMonotone(_) => "non-monotone",
        }
    }

    /// Every broken rule, keys relative to `[averaging]`, for a run of `steps` updates.
    pub fn validate(&self, steps: u64) -> Vec<Violation> {
        let broken = match self {
            Self::Polyak(PolyakConfig { start }) => (*start == 0 || *start > steps)
                .then(|| Violation::new("start", format!("must be from 1 to the run's steps ({steps}), is {start}"))),
            Self::Exponential(ExponentialConfig { decay, .. }) => rules::below_one("decay", &[*decay]),
            Self::NonMonotone(NonMonotoneConfig { patience }) => {
                (*patience == 0).then(|| Violation::new("patience", "must be at least 1, is 0"))
            }
        };
        broken.into_iter().map(|violation| violation.under(self.name())).collect()
    }
}
