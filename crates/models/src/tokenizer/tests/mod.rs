//! Tests of text to tokens and back.

mod bad_input;
mod configuration;
mod continuing;
mod fixtures;
mod hostile;
mod learning;
mod properties;
mod streaming;

use super::{
    BytePairTokenizerConfig, ByteTokenizerConfig, CharacterTokenizerConfig, END_TOKEN, Tokenizer, TokenizerConfig,
    Unknown,
};

/// What the tokenizers of the tests are learned from.
pub(super) const TALE: &str = "Once upon a time there was a fox who'd lost her golden key.\n\"Where's my key?\" she \
    asked the owl, and the owl said: \"I've seen it under the 3rd oak; it's 12 steps from the well.\"\r\n\n  The fox \
    thanked him (twice!) and went\tto the well. Ça va très bien, naïve façade — 東京へようこそ、狐さん。 Ελλάδα, \
    привет 🦊🔑\u{3000}e\u{301}\n";

pub(super) fn learn(config: &TokenizerConfig, text: &str) -> Tokenizer {
    Tokenizer::train(config, &mut std::iter::once(Ok(text.to_owned()))).expect("the tale is text")
}

pub(super) fn end_token() -> Vec<String> {
    vec![END_TOKEN.to_owned()]
}

pub(super) fn character(unknown: Unknown) -> TokenizerConfig {
    TokenizerConfig::Character(CharacterTokenizerConfig { unknown, special_tokens: end_token() })
}

pub(super) fn byte() -> TokenizerConfig {
    TokenizerConfig::Byte(ByteTokenizerConfig { special_tokens: end_token() })
}

pub(super) fn byte_pair(vocabulary_size: usize) -> TokenizerConfig {
    let special_tokens = end_token();
    TokenizerConfig::BytePair(BytePairTokenizerConfig { vocabulary_size, special_tokens, training_bytes: 1 << 30 })
}
