//! How the next token is chosen.

use kiln_settings::Violation;
use serde::{Deserialize, Serialize};

/// How the next token is chosen from the logits. Everything that is not set is not done.
///
/// The steps happen in the order of the fields; see [`Sampler`](super::Sampler) for why.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct SamplerConfig {
    /// Makes tokens that occurred already less likely: their logits are divided by this where positive and multiplied
    /// by it where negative (Keskar et al. 2019, "CTRL", <https://arxiv.org/abs/1909.05858>, section 4.1, with the sign
    /// rule of Hugging Face's `RepetitionPenaltyLogitsProcessor`). Greater than 0; below 1 it favours repetition.
    pub repetition_penalty: Option<f32>,
    /// Divides the logits: below 1 the likely becomes likelier, above 1 rarer tokens come up more often. 0 always takes
    /// the likeliest token, the one with the lowest number among equals. Default 0.8.
    pub temperature: f32,
    /// Keeps this many of the likeliest tokens; among equals those with the lowest numbers. At least 1.
    pub top_k: Option<usize>,
    /// Keeps the smallest set of likeliest tokens whose probabilities, relative to what `top-k` left, reach this
    /// (Holtzman et al. 2020, <https://arxiv.org/abs/1904.09751>). Above 0, at most 1.
    pub top_p: Option<f32>,
    /// Keeps the tokens that are at least so likely as this share of the likeliest (Nguyen et al. 2024,
    /// <https://arxiv.org/abs/2407.01082>). Above 0, at most 1.
    pub min_p: Option<f32>,
    /// Where the random numbers of a request begin: the same request gives the same text. Default 0.
    pub seed: u64,
}

impl Default for SamplerConfig {
    fn default() -> Self {
        Self { repetition_penalty: None, temperature: 0.8, top_k: None, top_p: None, min_p: None, seed: 0 }
    }
}

impl SamplerConfig {
    /// Always the likeliest token.
    pub fn greedy() -> Self {
        Self { temperature: 0.0, ..Self::default() }
    }

    /// Every setting that makes no sense, all at once.
    pub fn validate(&self) -> Vec<Violation> {
        let mut violations = Vec::new();
        let mut check = |key: &str, holds: bool, rule: &str, value: String| {
            if !holds {
                violations.push(Violation::new(key, format!("must be {rule}, is {value}")));
            }
        };
        let share = "greater than 0 and at most 1";
        if let Some(penalty) = self.repetition_penalty {
            let holds = penalty.is_finite() && penalty > 0.0;
            check("repetition-penalty", holds, "a finite number greater than 0", penalty.to_string());
        }
        let holds = self.temperature.is_finite() && self.temperature >= 0.0;
        check(
            "temperature",
            holds,
            "a finite number of 0 (always the likeliest) or more",
            self.temperature.to_string(),
        );
        if let Some(count) = self.top_k {
            check("top-k", count > 0, "at least 1", count.to_string());
        }
        for (key, value) in [("top-p", self.top_p), ("min-p", self.min_p)] {
            if let Some(value) = value {
                check(key, value > 0.0 && value <= 1.0, share, value.to_string());
            }
        }
        violations
    }
}
