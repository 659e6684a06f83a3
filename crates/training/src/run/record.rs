//! `run.json`: what it would take to repeat the run.

use std::path::Path;

use kiln_models::saved::{Conversing, Lineage};
use kiln_settings::files::{Content, Links, read_regular};
use kiln_storage::layout::RECORD_FILE;
use serde::{Deserialize, Serialize};
use toml::Value;

use super::error::{FolderError, io};
use crate::config::Change;

/// The version of Burn that Kiln is built with, from the workspace's manifest.
pub const BURN_VERSION: &str = env!("KILN_BURN_VERSION");

/// It is a few names and hashes.
const LONGEST: u64 = 1 << 20;

/// Where a run comes from, as it was started. Of all this only the hashes count when it is resumed.
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
    /// The model that training started from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Lineage>,
    /// The model that it learns from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teacher: Option<Lineage>,
    /// How conversations are held, where it learns from some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversing: Option<Conversing>,
    /// The exact entropy of the built-in corpus, nats per character.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entropy: Option<f64>,
    /// The exact code length of the built-in corpus's validation split, nats per character.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_floor: Option<f64>,
}

impl RunRecord {
    /// The record in a run folder.
    ///
    /// # Errors
    /// When the file cannot be read, or isn't one that this program writes.
    pub fn read(run: &Path) -> Result<Self, FolderError> {
        let path = run.join(RECORD_FILE);
        let bytes = read_regular(&path, Links::Followed, LONGEST).and_then(Content::into_bytes);
        bytes.and_then(|bytes| Ok(serde_json::from_slice(&bytes)?)).map_err(|source| io(&path, "read", source))
    }

    /// Which texts, and whether the teacher, differ from those of this record. A file may change under a name that
    /// stays.
    pub fn other_texts(&self, now: &Self) -> Vec<Change> {
        let texts = [
            ("tokenizer", &self.tokenizer_hash, &now.tokenizer_hash),
            ("training text", &self.train_text_hash, &now.train_text_hash),
            ("validation text", &self.validation_text_hash, &now.validation_text_hash),
        ];
        let value = |hash: &String| Some(Value::String(hash.clone()));
        let change =
            |(what, from, to)| Change { key: format!("BLAKE3 of the {what}"), from: value(from), to: value(to) };
        let mut changes: Vec<Change> = texts.into_iter().filter(|(_, from, to)| from != to).map(change).collect();
        let [from, to] = [self, now].map(|record| record.teacher.as_ref().map(|teacher| teacher.sha256.clone()));
        if from != to {
            let value = |hash: Option<String>| hash.map(Value::String);
            changes.push(Change { key: "SHA-256 of the teacher".to_owned(), from: value(from), to: value(to) });
        }
        changes
    }
}
