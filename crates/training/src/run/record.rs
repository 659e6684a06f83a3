//! `run.json`: what would be needed to do the run again.

use serde::{Deserialize, Serialize};

/// Where a run comes from. All of it is text for people and scripts; nothing is read back to train.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Version of Kiln.
    pub kiln: String,
    /// Version of Burn.
    pub burn: String,
    /// Commit that the binary was built from, if known.
    pub git_commit: Option<String>,
    /// The device, in words.
    pub device: String,
    /// The seed.
    pub seed: u64,
    /// BLAKE3 of the tokenizer, hexadecimal.
    pub tokenizer_hash: String,
    /// BLAKE3 of the training split's text, hexadecimal.
    pub train_text_hash: String,
    /// BLAKE3 of the validation split's text, hexadecimal.
    pub validation_text_hash: String,
    /// The exact entropy of the built-in corpus, nats per character.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entropy: Option<f64>,
    /// The exact code length of the built-in corpus's validation split, nats per character.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_floor: Option<f64>,
}
