//! Where the text comes from: files, a download, or Kiln's own tales.
//!
//! [`DataConfig`] says which; [`DataConfig::open`] finds or fetches it, counts its characters and cuts it into two
//! [`Split`]s; [`Corpus::pieces`] reads a split in pieces of bounded size, so that a corpus may be larger than memory.

mod builtin;
mod config;
mod conversations;
mod copies;
mod documents;
mod download;
mod error;
mod every;
mod file;
mod identity;
mod local;
mod mirror;
mod open;
mod pairs;
mod place;
mod source;
#[cfg(test)]
mod tests;
mod transfer;

pub use builtin::{BuiltinConfig, BuiltinCorpus, CharacterModel, Entropy, ImpossibleCharacter, Pieces};
pub use config::{DataConfig, DownloadConfig, FileConfig};
pub use conversations::{Conversation, Conversations, ConversationsConfig, Form, WrongLines};
pub use copies::CopiedFile;
pub use error::{CorpusError, DownloadError};
pub use local::LocalFile;
pub use mirror::MIRROR_VARIABLE;
pub use open::{OpenProgress, open_files};
pub use pairs::{BuiltinPairsConfig, Pair, PairFileError, PairsConfig};
pub use place::{Place, Split};
pub use source::{Corpus, CorpusPieces, Piece};
