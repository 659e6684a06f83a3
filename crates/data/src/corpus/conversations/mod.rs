//! Conversations: which files, what a line of them says, and which split it belongs to.

mod config;
mod form;
mod lines;
#[cfg(test)]
mod tests;

pub use config::{ConversationsConfig, Form};
pub(super) use lines::words;
pub use lines::{Conversation, Conversations, WrongLines};
