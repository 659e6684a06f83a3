//! The folder of a text as tokens: its files, and what goes with them.

use std::path::{Path, PathBuf};

use kiln_models::{Tokenizer, TokenizerConfig};
use kiln_settings::files::{Content, Links, read_regular};
use serde::{Deserialize, Serialize};

use super::{DataError, EntropyFloor, ExampleReading, PreparedConversations, PreparedData, ShardError, TokenFile};
use crate::corpus::{Corpus, Split};
use crate::lock::FolderLock;

/// Changes whenever the same configuration gives other tokens than before.
const VERSION: &str = "kiln 2026 prepared tokens, version 3";

/// What is known of a text beside its tokens.
const FACTS_FILE: &str = "facts.json";

/// It is a few numbers.
const LONGEST_FACTS: u64 = 1 << 16;

/// What goes with the tokens of a text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Facts {
    pub(super) floor: Option<EntropyFloor>,
    documents: u64,
    separators: u64,
    /// Of conversations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    conversations: Option<PreparedConversations>,
    /// Which text it is, and what it was made for: the folder's name is a hash.
    pub(crate) text: String,
}

impl Facts {
    /// Those in a folder of tokens; nothing where it is not complete.
    pub(crate) fn read(folder: &Path) -> Option<Self> {
        let path = folder.join(FACTS_FILE);
        let Ok(Content::Bytes(facts)) = read_regular(&path, Links::Followed, LONGEST_FACTS) else { return None };
        serde_json::from_slice(&facts).ok()
    }

    pub(super) fn of(corpus: &Corpus, text: String) -> Self {
        let exact = EntropyFloor { nats_per_character: 0.0, validation_nats_per_character: 0.0 };
        let floor = corpus.is_translated_exactly().then_some(exact);
        let floor = floor.or_else(|| {
            corpus.tales().map(|tales| {
                let validation = corpus.characters_of(Split::Train)..corpus.characters();
                let characters = corpus.characters_of(Split::Validation) as f64;
                EntropyFloor {
                    nats_per_character: tales.entropy_rate(),
                    validation_nats_per_character: tales.code_length(validation) / characters,
                }
            })
        });
        Self { floor, documents: corpus.documents(), separators: corpus.separators(), conversations: None, text }
    }

    pub(super) fn of_conversations(conversations: PreparedConversations, text: String) -> Self {
        let documents = conversations.train + conversations.validation;
        Self { floor: None, documents, separators: 0, conversations: Some(conversations), text }
    }

    /// The tokens with them.
    pub(super) fn with(self, tokenizer: Tokenizer, train: TokenFile, validation: TokenFile) -> PreparedData {
        let Self { floor, documents, separators, conversations, text: _ } = self;
        PreparedData { tokenizer, train, validation, floor, documents, separators, conversations }
    }
}

/// The folder of one pair of token files.
pub(super) struct Folder(PathBuf);

impl Folder {
    /// The folder for what these hashes stand for.
    pub(super) fn of(parts: &[&[u8]], cache: &Path) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(VERSION);
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        let name = hasher.finalize().to_hex();
        Self(cache.join(crate::cache::TOKENS).join(&name.as_str()[..32]))
    }

    /// Fills the folder while other processes are kept out of it. Where that fails, what is not complete goes.
    pub(super) fn fill<T>(&self, fill: impl FnOnce() -> Result<T, DataError>) -> Result<T, DataError> {
        let _lock = FolderLock::acquire(&self.0).map_err(|source| DataError::Cache { path: self.0.clone(), source })?;
        let filled = fill();
        if filled.is_err() && self.facts().is_none() {
            let _ = std::fs::remove_dir_all(&self.0);
        }
        filled
    }

    pub(super) fn tokens(&self, split: Split) -> PathBuf {
        self.0.join(match split {
            Split::Train => "train.tokens",
            Split::Validation => "validation.tokens",
        })
    }

    /// The marks of a split's examples.
    pub(super) fn marks(&self, split: Split) -> PathBuf {
        self.tokens(split).with_extension("marks")
    }

    /// A split that is whole and of this tokenizer, with its examples where it has some.
    pub(super) fn open_split(
        &self,
        split: Split,
        tokenizer: &Tokenizer,
        reading: Option<ExampleReading>,
    ) -> Result<TokenFile, ShardError> {
        let tokens = TokenFile::open_verified(&self.tokens(split), &tokenizer.hash())?;
        match reading {
            Some(reading) => {
                let marks = TokenFile::open_verified(&self.marks(split), &tokenizer.hash())?;
                tokens.with_examples(marks, reading)
            }
            None => Ok(tokens),
        }
    }

    /// What is there, if it is whole. What is damaged is made again.
    pub(super) fn open(&self, config: &TokenizerConfig, reading: Option<ExampleReading>) -> Option<PreparedData> {
        let facts = self.facts()?;
        let tokenizer = match config {
            // The user's own file is the one that counts.
            TokenizerConfig::File(file) => file.open().ok()?,
            _ => Tokenizer::from_file(&self.0.join("tokenizer.json")).ok()?,
        };
        let train = self.open_split(Split::Train, &tokenizer, reading).ok()?;
        let validation = self.open_split(Split::Validation, &tokenizer, reading).ok()?;
        Some(facts.with(tokenizer, train, validation))
    }

    /// The validation split and the floor, if they are whole and of this tokenizer.
    pub(super) fn open_validation(
        &self,
        tokenizer: &Tokenizer,
        reading: Option<ExampleReading>,
    ) -> Option<(TokenFile, Option<EntropyFloor>)> {
        let floor = self.facts()?.floor;
        Some((self.open_split(Split::Validation, tokenizer, reading).ok()?, floor))
    }

    /// What goes with the tokens; nothing where the folder is not complete.
    fn facts(&self) -> Option<Facts> {
        Facts::read(&self.0)
    }

    /// Writes what goes with the token files; the facts last, so that a folder with them is complete.
    pub(super) fn complete(&self, tokenizer: &Tokenizer, facts: &Facts) -> Result<(), DataError> {
        tokenizer.save(&self.0.join("tokenizer.json"))?;
        let path = self.0.join(FACTS_FILE);
        let beside = self.0.join("facts.json.part");
        let json = serde_json::to_vec(facts).unwrap_or_default();
        let written = std::fs::write(&beside, json).and_then(|()| std::fs::rename(&beside, &path));
        written.map_err(|source| DataError::Shard(ShardError::Write { path, source }))
    }
}
