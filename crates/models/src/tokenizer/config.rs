//! `[tokenizer.*]`: how text becomes tokens.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use kiln_settings::Violation;

use super::error::TokenizerError;
use super::handle::Tokenizer;
use crate::saved::tokenizer_of;

/// The special token that stands between documents.
pub const END_TOKEN: &str = "<|end|>";

/// The special tokens that stand between documents, Kiln's own first, then those of tokenizers made elsewhere: of
/// GPT-2, of Llama 3 and its predecessors, of Gemma.
pub const END_TOKENS: [&str; 5] = [END_TOKEN, "<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>"];

/// The special token that stands for a character that the vocabulary lacks, where one was asked for.
pub const UNKNOWN_TOKEN: &str = "<|unknown|>";

/// How many bytes there are: what a byte-level vocabulary holds before anything is merged.
const BYTES: usize = 256;

/// The largest vocabulary that can be learned.
const LARGEST_VOCABULARY: usize = 1_000_000;

/// The longest special token, in bytes.
const LONGEST_SPECIAL_TOKEN: usize = 64;

/// The most special tokens that a tokenizer can be given.
const MOST_SPECIAL_TOKENS: usize = 32;

/// The tokenizer of a run: exactly one table under `[tokenizer]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum TokenizerConfig {
    /// One token for each character of the training text.
    Character(CharacterTokenizerConfig),
    /// One token for each of the 256 bytes.
    Byte(ByteTokenizerConfig),
    /// Byte-level byte-pair encoding, learned from the training text (Sennrich et al. 2016; Radford et al. 2019).
    BytePair(BytePairTokenizerConfig),
    /// A `tokenizer.json` made elsewhere.
    File(TokenizerFileConfig),
}

/// `[tokenizer.character]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct CharacterTokenizerConfig {
    /// What a character becomes that the training text does not hold. Default `"error"`.
    pub unknown: Unknown,
    /// Tokens that are looked for as a whole before the text is cut, after the characters in the vocabulary;
    /// `"<|end|>"` stands between documents. Default none.
    pub special_tokens: Vec<String>,
}

/// `[tokenizer.byte]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ByteTokenizerConfig {
    /// As for characters; they come after the 256 bytes. Default none.
    pub special_tokens: Vec<String>,
}

/// `[tokenizer.byte-pair]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct BytePairTokenizerConfig {
    /// Tokens in all: special tokens, 256 bytes, and as many merges as are left or as the text gives. No default.
    pub vocabulary_size: usize,
    /// As for characters; they come first in the vocabulary. Default `["<|end|>"]`.
    #[serde(default = "end_token_only")]
    pub special_tokens: Vec<String>,
    /// The merges are learned from the first `training-bytes` bytes of the training text. Default 1 GiB.
    #[serde(default = "one_gibibyte")]
    pub training_bytes: u64,
}

/// `[tokenizer.file]`.
///
/// Whether unknown text is an error or a token is said by the file: with an unknown token in its vocabulary it is that
/// token, without one it is an error. Padding and truncation that the file asks for are not applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TokenizerFileConfig {
    /// Path of the `tokenizer.json`, or of a model whose tokenizer it is to be, relative to the current folder. No
    /// default.
    pub path: PathBuf,
}

/// What text becomes that the vocabulary lacks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unknown {
    /// An error that names the character and where it stands.
    #[default]
    Error,
    /// The token `<|unknown|>`, which is in the vocabulary then.
    Token,
}

fn end_token_only() -> Vec<String> {
    vec![END_TOKEN.to_owned()]
}

fn one_gibibyte() -> u64 {
    1 << 30
}

impl TokenizerConfig {
    /// The name of its table: `character`, `byte`, `byte-pair` or `file`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Character(_) => "character",
            Self::Byte(_) => "byte",
            Self::BytePair(_) => "byte-pair",
            Self::File(_) => "file",
        }
    }

    /// Every broken rule, keys relative to `[tokenizer]`.
    pub fn validate(&self) -> Vec<Violation> {
        match self {
            Self::Character(config) => under("character", special_tokens(&config.special_tokens)),
            Self::Byte(config) => under("byte", special_tokens(&config.special_tokens)),
            Self::BytePair(config) => under("byte-pair", config.validate()),
            Self::File(config) => under("file", config.validate()),
        }
    }

    /// Whether the vocabulary will hold a token of [`END_TOKENS`]; `None` if only a file can tell.
    pub fn has_end_token(&self) -> Option<bool> {
        let tokens = match self {
            Self::Character(config) => &config.special_tokens,
            Self::Byte(config) => &config.special_tokens,
            Self::BytePair(config) => &config.special_tokens,
            Self::File(_) => return None,
        };
        Some(tokens.iter().any(|token| END_TOKENS.contains(&token.as_str())))
    }
}

impl BytePairTokenizerConfig {
    fn validate(&self) -> Vec<Violation> {
        let mut violations = special_tokens(&self.special_tokens);
        let least = BYTES + self.special_tokens.len();
        if !(least..=LARGEST_VOCABULARY).contains(&self.vocabulary_size) {
            let message = format!("must be between {least} and {LARGEST_VOCABULARY}, is {}", self.vocabulary_size);
            let help =
                format!("{BYTES} bytes and the special tokens are always in it; 4096 suits a few megabytes of text");
            violations.push(Violation::new("vocabulary-size", message).with_help(help));
        }
        if self.training_bytes == 0 {
            violations.push(Violation::new("training-bytes", "must be 1 or more, is 0"));
        }
        violations
    }
}

impl TokenizerFileConfig {
    /// The tokenizer of the file, or of the model.
    ///
    /// # Errors
    /// As for [`Tokenizer::from_file`]; also if the model has no tokenizer that can be used.
    pub fn open(&self) -> Result<Tokenizer, TokenizerError> {
        let Some(found) = tokenizer_of(&self.path) else { return Tokenizer::from_file(&self.path) };
        found.map_err(|error| TokenizerError::Invalid {
            place: self.path.display().to_string(),
            reason: error.to_string(),
        })
    }

    fn validate(&self) -> Vec<Violation> {
        let empty = self.path.as_os_str().is_empty();
        let violation = || Violation::new("path", "must name a file, is empty").with_help("path = \"tokenizer.json\"");
        empty.then(violation).into_iter().collect()
    }
}

fn under(table: &str, violations: Vec<Violation>) -> Vec<Violation> {
    violations.into_iter().map(|violation| violation.under(table)).collect()
}

fn special_tokens(tokens: &[String]) -> Vec<Violation> {
    let key = |index: usize| format!("special-tokens[{index}]");
    let mut violations = Vec::new();
    if tokens.len() > MOST_SPECIAL_TOKENS {
        let message = format!("must hold at most {MOST_SPECIAL_TOKENS} tokens, holds {}", tokens.len());
        violations.push(Violation::new("special-tokens", message));
    }
    for (index, token) in tokens.iter().enumerate() {
        // A single character could not be distinguished from the same character in the text.
        if token.chars().count() < 2 || token.len() > LONGEST_SPECIAL_TOKEN {
            let message = format!("must be 2 characters to {LONGEST_SPECIAL_TOKEN} bytes long, is {token:?}");
            violations.push(Violation::new(key(index), message).with_help(format!("for example {END_TOKEN:?}")));
        }
        if token == UNKNOWN_TOKEN {
            let message = format!("must not be {UNKNOWN_TOKEN:?}, which is Kiln's own");
            violations.push(Violation::new(key(index), message).with_help("set `unknown = \"token\"` to have it"));
        }
        if tokens[..index].contains(token) {
            violations.push(Violation::new(key(index), format!("{token:?} is given twice")));
        }
    }
    violations
}
