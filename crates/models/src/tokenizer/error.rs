//! What can go wrong between text and tokens.

use std::path::PathBuf;

/// Any error of a source of text that a tokenizer is trained on.
pub type TextError = Box<dyn std::error::Error + Send + Sync>;

/// An error of a tokenizer, its file, or the text given to it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// The text holds a character that the vocabulary lacks, and there is no unknown token.
    #[error(
        "the vocabulary has no token for the character {character:?} (U+{code:04X}) at byte {offset} of the text; \
         use only characters of the text that it was made from, or train with `unknown = \"token\"` or a byte-level \
         tokenizer",
        code = u32::from(*character)
    )]
    UnknownText {
        /// The first character that could not be encoded.
        character: char,
        /// Where it starts in the text, in bytes.
        offset: u64,
    },
    /// A tokenizer file could not be read.
    #[error("cannot read the tokenizer {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A tokenizer file could not be written.
    #[error("cannot write the tokenizer {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A tokenizer file is not one, or asks for what Kiln cannot do.
    #[error("{place} is not a tokenizer that Kiln can use: {reason}")]
    Invalid {
        /// The file, or what else it was.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The text to learn from holds no characters.
    #[error("there is no text to make the tokenizer from; the training split is empty")]
    NoText,
    /// The source of the text failed.
    #[error(transparent)]
    Text(TextError),
    /// The crate `tokenizers` failed on a text.
    #[error("the tokenizer failed on the text near byte {offset}: {reason}")]
    Failed {
        /// Where the piece of text started, in bytes.
        offset: u64,
        /// What the crate says.
        reason: String,
    },
}

impl TokenizerError {
    /// What is wrong, without the file that it is wrong with, where that is said beside.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::Read { source, .. } => source.to_string(),
            Self::Invalid { reason, .. } => reason.clone(),
            other => other.to_string(),
        }
    }
}
