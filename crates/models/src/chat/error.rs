//! What can be wrong with a conversation.

use crate::TokenizerError;
use crate::template::TemplateError;

/// Why a conversation cannot be written out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChatError {
    /// The template is none, fails, or doesn't end.
    #[error("the chat template {0}")]
    Template(TemplateError),
    /// The template refuses the conversation, in its own words.
    #[error("the chat template refuses this conversation: {0}")]
    Refused(String),
    /// The template writes what was said otherwise once more is said.
    #[error("the chat template writes the messages before number {0} otherwise than without it")]
    Rewritten(usize),
    /// Nobody answers, so that there is nothing to be learned.
    #[error("the conversation has no answer of an `assistant`")]
    NoAnswer,
    /// The text cannot be spelled with the vocabulary.
    #[error("the conversation cannot be read: {0}")]
    Prompt(#[from] TokenizerError),
}

impl From<TemplateError> for ChatError {
    fn from(error: TemplateError) -> Self {
        match error {
            TemplateError::Refused(words) => Self::Refused(words),
            other => Self::Template(other),
        }
    }
}
