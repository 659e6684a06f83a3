//! What can be wrong with token files and with making them.

use std::path::PathBuf;

use kiln_models::{END_TOKENS, TokenizerError};

use super::ConversationsError;
use crate::corpus::CorpusError;

/// An error of a token file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShardError {
    /// The system cannot read the file.
    #[error("cannot read the token file {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The system cannot write the file; a full disk, for instance.
    #[error("cannot write the token file {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is not what a token file must be.
    #[error("{} is not a whole token file: {reason}; delete it, and the next run makes it again", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The tokens were made by another tokenizer.
    #[error(
        "the tokens in {} were made by another tokenizer ({found}) than the one in use ({expected}); \
         delete the file, and the next run makes it again", path.display()
    )]
    WrongTokenizer {
        /// The file.
        path: PathBuf,
        /// Hash of the tokenizer in use, in hexadecimal digits.
        expected: String,
        /// Hash of the tokenizer in the file.
        found: String,
    },
    /// A token that no tokenizer of this vocabulary gives.
    #[error("{}: token {index} (at byte {offset}) is {token}, but the vocabulary has {vocabulary}", path.display())]
    TokenOutOfRange {
        /// The file.
        path: PathBuf,
        /// Which token.
        index: u64,
        /// Where it stands in the file, in bytes.
        offset: u64,
        /// The token.
        token: u32,
        /// How many tokens there are.
        vocabulary: u64,
    },
    /// Tokens were asked for that the file does not have.
    #[error("{} has {tokens} tokens, and {count} from token {start} on were asked for", path.display())]
    OutOfBounds {
        /// The file.
        path: PathBuf,
        /// How many it has.
        tokens: u64,
        /// The first token asked for.
        start: u64,
        /// How many were asked for.
        count: u64,
    },
}

/// An error on the way from a configuration to tokens.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The text cannot be had.
    #[error(transparent)]
    Corpus(#[from] CorpusError),
    /// Conversations cannot become tokens.
    #[error(transparent)]
    Conversations(#[from] ConversationsError),
    /// The tokenizer cannot be made or cannot encode the text.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// The tokens cannot be kept.
    #[error(transparent)]
    Shard(#[from] ShardError),
    /// A character that the vocabulary lacks, in a file.
    #[error(
        "{place}: the vocabulary has no token for the character {character:?} (U+{code:04X}) at byte {offset}; \
         set `unknown = \"token\"`, or use a byte-level tokenizer",
        code = u32::from(*character)
    )]
    UnknownText {
        /// The file, or what the corpus is.
        place: String,
        /// The character.
        character: char,
        /// Where it starts, in bytes.
        offset: u64,
    },
    /// Documents are to be separated by a token that the tokenizer does not have.
    #[error(
        "`data.separator` needs a tokenizer with a special token that ends a document, and this one has none of {}; \
         give it one, or leave `separator` out",
        END_TOKENS.join(", ")
    )]
    NoEndToken,
    /// The cache folder cannot be used.
    #[error("cannot use the cache folder {}: {source}", path.display())]
    Cache {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}
