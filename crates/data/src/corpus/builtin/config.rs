//! The settings of the built-in corpus.

use kiln_settings::Violation;
use serde::{Deserialize, Serialize};

/// `[data.builtin]`: tales that Kiln writes itself, as many characters of them as one asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct BuiltinConfig {
    /// Length of the corpus in characters, training and validation text together. Default: 1000000.
    pub characters: u64,
    /// Seed of the tales; it has nothing to do with the seed of the training. Default: 0.
    pub seed: u64,
}

impl Default for BuiltinConfig {
    fn default() -> Self {
        Self { characters: 1_000_000, seed: 0 }
    }
}

impl BuiltinConfig {
    /// The rules that these settings break.
    pub fn validate(&self) -> Vec<Violation> {
        let mut violations = Vec::new();
        if self.characters == 0 {
            violations.push(
                Violation::new("characters", "must be at least 1, is 0")
                    .with_help("a model learns the tales from about 1000000 characters"),
            );
        }
        violations
    }
}
