//! What can be wrong with a conversation.

use kiln_models::TokenizerError;

/// Why a conversation cannot be written out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChatError {
    /// The template is no template.
    #[error("the chat template cannot be read: {0}")]
    Template(String),
    /// The template refuses the conversation, in its own words.
    #[error("the chat template refuses this conversation: {0}")]
    Refused(String),
    /// The template fails.
    #[error("the chat template fails: {0}")]
    Failed(String),
    /// The template takes more steps, or writes more, than any useful one.
    #[error("the chat template {0}, more than a useful one")]
    Endless(String),
    /// The text cannot be spelled with the vocabulary.
    #[error("the conversation cannot be read: {0}")]
    Prompt(#[from] TokenizerError),
}
