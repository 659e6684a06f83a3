//! SentencePiece's unigram model (Kudo 2018, <https://arxiv.org/abs/1804.10959>): pieces with logarithms of their
//! probabilities, of which the most probable sequence that spells a text is taken.

use serde_json::{Value, json};

use super::super::error::TokenizerError;
use super::super::handle::Tokenizer;
use super::pieces::{Prefix, SPACE, behind, decoder, visible_spaces};
use super::{Entry, EntryKind, added_tokens, check_texts, post_processor};

/// The tokenizer with these pieces; a text goes through `stages` first.
pub(crate) fn unigram(
    entries: &[Entry],
    stages: Vec<Value>,
    prefix: Prefix,
    start: &[u32],
) -> Result<Tokenizer, TokenizerError> {
    check_texts(entries)?;
    let unknown = entries.iter().position(|entry| entry.kind == EntryKind::Unknown);
    let has_bytes = entries.iter().any(|entry| entry.kind == EntryKind::Byte);
    // A text can be cut before every space where no piece goes across one.
    let goes_across =
        |entry: &Entry| entry.text.char_indices().skip(1).any(|(at, _)| entry.text[at..].starts_with(SPACE));
    let is_cut = !entries.iter().any(goes_across);
    let [normalizer, pre_tokenizer] = visible_spaces(prefix, is_cut);
    let lowest = entries.iter().map(|entry| entry.score).fold(0.0, f64::min);
    // What no text spells must not be found in one: a byte is one only where all pieces fail.
    let score = |entry: &Entry| match entry.kind {
        EntryKind::Normal | EntryKind::UserDefined => entry.score,
        _ => lowest - 1e6,
    };
    let vocabulary: Vec<Value> = entries.iter().map(|entry| json!([entry.text, score(entry)])).collect();
    let file = json!({
        "version": "1.0",
        "added_tokens": added_tokens(entries),
        "normalizer": behind(stages, normalizer),
        "pre_tokenizer": pre_tokenizer,
        "post_processor": post_processor(start, entries)?,
        "decoder": decoder(prefix),
        "model": { "type": "Unigram", "unk_id": unknown, "vocab": vocabulary, "byte_fallback": has_bytes },
    });
    Tokenizer::from_json(file.to_string())
}
