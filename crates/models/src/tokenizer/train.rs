//! Making a `tokenizer.json` from a text.

use serde_json::{Value, json};

use super::byte_level;
use super::byte_pair::{self, WordCounts};
use super::config::{BytePairTokenizerConfig, ByteTokenizerConfig, CharacterTokenizerConfig, UNKNOWN_TOKEN, Unknown};
use super::error::{TextError, TokenizerError};
use super::vocabulary::ANY_CHARACTER;

type Text<'a> = &'a mut dyn Iterator<Item = Result<String, TextError>>;

/// One token for each character of `text`, in the order of their code points, then the special tokens.
pub(super) fn characters(config: &CharacterTokenizerConfig, text: Text) -> Result<String, TokenizerError> {
    let mut seen = vec![false; char::MAX as usize + 1];
    for piece in text {
        for character in piece.map_err(TokenizerError::Text)?.chars() {
            seen[character as usize] = true;
        }
    }
    let characters = ('\0'..=char::MAX).filter(|character| seen[*character as usize]);
    let mut tokens: Vec<String> = characters.map(String::from).collect();
    if tokens.is_empty() {
        return Err(TokenizerError::NoText);
    }
    let mut special = config.special_tokens.clone();
    if config.unknown == Unknown::Token {
        special.insert(0, UNKNOWN_TOKEN.to_owned());
    }
    let added = added_tokens(&special, tokens.len());
    tokens.extend(special);
    // `WordLevel` always names an unknown token; outside the vocabulary it makes unknown text an error, in Python too.
    let model = json!({"type": "WordLevel", "vocab": vocabulary(&tokens), "unk_token": UNKNOWN_TOKEN});
    let cut = json!({"type": "Split", "pattern": {"Regex": ANY_CHARACTER}, "behavior": "Isolated", "invert": false});
    document(added, cut, json!({"type": "Fuse"}), model)
}

/// The 256 bytes, token b for byte b, then the special tokens.
pub(super) fn bytes(config: &ByteTokenizerConfig) -> Result<String, TokenizerError> {
    let mut tokens: Vec<String> = (0..=u8::MAX).map(byte_level::character).map(String::from).collect();
    let added = added_tokens(&config.special_tokens, tokens.len());
    tokens.extend(config.special_tokens.iter().cloned());
    let model = byte_pair_model(vocabulary(&tokens), json!([]));
    document(added, byte_level_stage(false), byte_level_stage(false), model)
}

/// The special tokens, the 256 bytes, and the merges of the most frequent pairs inside the words of `text`.
pub(super) fn byte_pairs(config: &BytePairTokenizerConfig, text: Text) -> Result<String, TokenizerError> {
    let mut counts = WordCounts::default();
    let mut left = config.training_bytes;
    for piece in text {
        let piece = piece.map_err(TokenizerError::Text)?;
        let length = piece.floor_char_boundary(usize::try_from(left).unwrap_or(usize::MAX));
        counts.add(&piece[..length]);
        left -= length as u64;
        if length < piece.len() || left == 0 {
            break;
        }
    }
    let merged = byte_pair::learn(counts, config)?;
    let added = added_tokens(&config.special_tokens, 0);
    let stage = byte_level_stage(true);
    document(added, stage.clone(), stage, byte_pair_model(merged.vocabulary, merged.merges))
}

fn byte_pair_model(vocabulary: Value, merges: Value) -> Value {
    json!({
        "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
        "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
        "vocab": vocabulary, "merges": merges,
    })
}

fn byte_level_stage(words: bool) -> Value {
    json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": words})
}

fn vocabulary(tokens: &[String]) -> Value {
    Value::Object(tokens.iter().enumerate().map(|(id, token)| (token.clone(), id.into())).collect())
}

fn added_tokens(tokens: &[String], first: usize) -> Value {
    let token = |(index, token): (usize, &String)| {
        json!({
            "id": first + index, "content": token, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true,
        })
    };
    tokens.iter().enumerate().map(token).collect()
}

/// The whole document, written by the crate so that its order and spacing are always the same.
fn document(added: Value, pre_tokenizer: Value, decoder: Value, model: Value) -> Result<String, TokenizerError> {
    let document = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": null,
        "pre_tokenizer": pre_tokenizer, "post_processor": null, "decoder": decoder, "model": model,
    });
    let failed = |error: tokenizers::Error| TokenizerError::Failed { offset: 0, reason: error.to_string() };
    tokenizers::Tokenizer::from_bytes(document.to_string()).and_then(|library| library.to_string(true)).map_err(failed)
}
