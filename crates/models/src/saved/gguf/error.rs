//! What can be wrong with a model in a GGUF file.

use super::super::hugging_face::HuggingFaceError;
use crate::tokenizer::TokenizerError;

/// Why a model cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GgufModelError {
    /// A value without which nothing can be computed.
    #[error("it has no `{0}`")]
    MissingKey(String),
    /// A value that is wrong, or that is not supported.
    #[error("`{key}` {problem}")]
    Value {
        /// The key.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Another architecture than those that are known.
    #[error("its `general.architecture` is \"{found}\", and those that can be read are {known}")]
    UnknownArchitecture {
        /// What it says.
        found: String,
        /// Those that are known.
        known: String,
    },
    /// A value that may change what the model computes.
    #[error("it has the value `{0}`, which may change what the model computes and is not known")]
    UnknownKey(String),
    /// An option of a model that is to be written.
    #[error("`{option}` has no counterpart in the architecture {architecture} of these files")]
    Option {
        /// The nearest architecture.
        architecture: String,
        /// The option.
        option: String,
    },
    /// Sizes that make no model.
    #[error("its values describe no model that can be read: {0}")]
    Model(HuggingFaceError),
    /// A tokenizer that cannot be made again.
    #[error("its tokenizer cannot be used: {0}")]
    Tokenizer(TokenizerError),
}
