//! Text to tokens and back.
//!
//! A [`Tokenizer`] is always a standard `tokenizer.json` of the crate `tokenizers`, which Python's package of that name
//! loads and encodes with alike. Four kinds of [`TokenizerConfig`] make one: characters, bytes, byte pairs learned from
//! the corpus, and a file. The crate is the authority on what a text encodes to; because it is slow on megabytes, the
//! kinds that Kiln makes itself are also encoded by direct tables, which tests hold equal to the crate.
//!
//! Decoding never breaks a code point, and no text, token or file makes any of this panic.

mod byte_level;
mod byte_pair;
mod config;
mod decoder;
mod error;
mod handle;
mod outline;
mod pipeline;
pub(crate) mod rebuilt;
mod special;
mod spelling;
mod text_encoder;
mod token_bytes;
mod tokenizer_json;
mod train;
mod vocabulary;
mod words;

#[cfg(test)]
mod tests;

pub use config::{
    BytePairTokenizerConfig, ByteTokenizerConfig, CharacterTokenizerConfig, END_TOKEN, END_TOKENS, TokenizerConfig,
    TokenizerFileConfig, UNKNOWN_TOKEN, Unknown,
};
pub use decoder::StreamDecoder;
pub use error::{TextError, TokenizerError};
pub use handle::Tokenizer;
pub use text_encoder::TextEncoder;
