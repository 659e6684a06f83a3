//! Tokenizers of folders without a `tokenizer.json`, from what older programs keep of one: a vocabulary with merges, or
//! a model of SentencePiece.

mod byte_pairs;
mod named;
mod protobuf;
mod sentence_piece;
#[cfg(test)]
mod tests;

use std::path::Path;

use kiln_settings::files::{Content, Links, read_regular};

use self::named::Named;
use super::super::error::SavedModelError;
use super::{HuggingFaceError, wrong};
use crate::Tokenizer;
use crate::tokenizer::TokenizerError;

/// Vocabularies and their merges: as `transformers` names them, and as GPT-2 came.
const PAIRS: [[&str; 2]; 2] = [["vocab.json", "merges.txt"], ["encoder.json", "vocab.bpe"]];

/// A model of SentencePiece.
const SENTENCE_PIECE: &str = "tokenizer.model";

/// The longest file that is read, bytes: several times the largest published one.
const LONGEST: u64 = 64 << 20;

/// A file that makes no tokenizer, and why.
struct Problem {
    file: &'static str,
    words: String,
}

impl Problem {
    fn new(file: &'static str, words: impl Into<String>) -> Self {
        Self { file, words: words.into() }
    }

    /// Adapter for `map_err` where a tokenizer is made of what was read from `file`.
    fn of(file: &'static str) -> impl FnOnce(TokenizerError) -> Self {
        move |error| Self::new(file, error.reason())
    }
}

/// The tokenizer of a folder that has no `tokenizer.json`.
///
/// # Errors
/// There is none of another form either, or it cannot be used.
pub(super) fn tokenizer(folder: &Path) -> Result<Tokenizer, SavedModelError> {
    let has = |name: &str| folder.join(name).exists();
    let made = if let Some(files) = PAIRS.into_iter().find(|files| files.iter().all(|name| has(name))) {
        Named::read(folder).and_then(|named| byte_pairs::tokenizer(folder, files, &named))
    } else if has(SENTENCE_PIECE) {
        Named::read(folder).and_then(|named| sentence_piece::tokenizer(folder, &named))
    } else {
        return Err(wrong(folder, HuggingFaceError::NoTokenizer));
    };
    made.map_err(|Problem { file, words }| SavedModelError::Tokenizer { path: folder.join(file), problem: words })
}

/// The bytes of a file in a folder.
fn bytes(folder: &Path, file: &'static str) -> Result<Vec<u8>, Problem> {
    let problem = |words: String| Problem::new(file, words);
    match read_regular(&folder.join(file), Links::Followed, LONGEST).map_err(|error| problem(error.to_string()))? {
        Content::Bytes(bytes) => Ok(bytes),
        Content::TooLong => Err(problem(format!("it has more than {LONGEST} bytes"))),
        Content::NotRegular => Err(problem("it is not a file".to_owned())),
    }
}
