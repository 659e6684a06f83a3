//! Tokens on disk: made once from a corpus, then read in any order without being in memory.
//!
//! [`prepare`] turns `[data]` and `[tokenizer]` into two [`TokenFile`]s in the cache folder. They are found again by
//! a hash of
//! everything they are a function of, and checked when opened. Files are read with positioned reads and never mapped:
//! a mapped
//! file that another program shortens kills the process, which no error handling can catch.

mod conversations;
mod error;
mod examples;
mod file;
mod folder;
mod header;
mod prepare;
#[cfg(test)]
mod tests;
mod writer;

pub use conversations::{ConversationsError, PreparedConversations};
pub use error::{DataError, ShardError};
pub(crate) use examples::Row;
pub use examples::{ExampleReading, Examples, Fitting, MARKS, Mark, TooLong, marks};
pub use file::TokenFile;
pub(crate) use folder::Facts;
pub use prepare::{EntropyFloor, PrepareProgress, PreparedData, prepare, prepare_evaluation, prepare_validation};
pub use writer::{TextIdentity, TokenFileWriter};
