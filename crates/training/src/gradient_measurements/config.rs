//! `[estimates]`: what is measured while training, and how often.

use kiln_settings::Violation;
use serde::{Deserialize, Serialize};

/// The measurements of a run; without them nothing is measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct EstimatesConfig {
    /// Updates between two measurements of the gradient's noise, >= 1. Default: none are made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noise_every: Option<u64>,
    /// How much of the running means behind the noise scale is kept at each measurement, in [0, 1). Default `0.95`.
    pub noise_decay: f64,
    /// Updates between two measurements of the sharpness along the gradient, >= 1. Default: none are made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sharpness_every: Option<u64>,
}

impl Default for EstimatesConfig {
    fn default() -> Self {
        Self { noise_every: None, noise_decay: 0.95, sharpness_every: None }
    }
}

impl EstimatesConfig {
    /// Whether the noise is measured in update number `step`.
    pub fn measures_noise(&self, step: u64) -> bool {
        self.noise_every.is_some_and(|every| step.is_multiple_of(every))
    }

    /// Whether the sharpness is measured in update number `step`.
    pub fn measures_sharpness(&self, step: u64) -> bool {
        self.sharpness_every.is_some_and(|every| step.is_multiple_of(every))
    }

    /// Every broken rule, keys relative to `[estimates]`.
    pub fn validate(&self) -> Vec<Violation> {
        let mut violations = Vec::new();
        for (key, every) in [("noise-every", self.noise_every), ("sharpness-every", self.sharpness_every)] {
            if every == Some(0) {
                violations
                    .push(Violation::new(key, "must be 1 or more, is 0").with_help("leave it out to measure nothing"));
            }
        }
        if !(0.0..1.0).contains(&self.noise_decay) {
            violations.push(Violation::new("noise-decay", format!("must be in [0, 1), is {}", self.noise_decay)));
        }
        violations
    }
}
