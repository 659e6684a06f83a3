//! Conversations: messages to the text and the tokens that a model was taught to answer, by the template that came with
//! it.

mod error;
mod format;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;
mod tokens;

pub use error::ChatError;
pub use format::{ChatFormat, Message};
