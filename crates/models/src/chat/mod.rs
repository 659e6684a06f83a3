//! Conversations: messages to the text and the tokens that a model was taught to answer, by the template that came with
//! it.

mod error;
mod example;
mod format;
#[cfg(test)]
mod hostile;
mod named;
#[cfg(test)]
mod tests;
mod tokens;

pub use error::ChatError;
pub use example::ChatExample;
pub use format::{ChatFormat, Message};
pub use named::{NAMED_TEMPLATES, named_source, named_template};
