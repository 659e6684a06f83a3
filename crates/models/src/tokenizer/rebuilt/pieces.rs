//! SentencePiece's byte pairs (Kudo and Richardson 2018, <https://arxiv.org/abs/1808.06226>), as Llama 1 and 2 have
//! them: pieces with scores, of which the pair that makes the piece of the highest score is merged first.

use std::cmp::Ordering;
use std::collections::HashMap;

use serde_json::{Value, json};

use super::super::error::TokenizerError;
use super::super::handle::Tokenizer;
use super::{Entry, EntryKind, added_tokens, post_processor, vocabulary};

/// What stands for a space.
pub(super) const SPACE: &str = "\u{2581}";

/// Where a space is put that the text has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Prefix {
    /// Nowhere.
    None,
    /// Before a text.
    First,
    /// Before a text, and behind each token that was found in it before anything else.
    Each,
}

/// The normalizer and the stage behind it that make spaces visible, and cut before each of them if they are asked to.
pub(super) fn visible_spaces(prefix: Prefix, is_cut: bool) -> [Value; 2] {
    let stage =
        |scheme: &str| json!({ "type": "Metaspace", "replacement": SPACE, "prepend_scheme": scheme, "split": is_cut });
    if prefix == Prefix::First {
        // Which text is the first, the second stage alone knows.
        return [Value::Null, stage("first")];
    }
    let replace = json!({ "type": "Replace", "pattern": { "String": " " }, "content": SPACE });
    let prepend = (prefix == Prefix::Each).then(|| json!({ "type": "Prepend", "prepend": SPACE }));
    let normalizers: Vec<Value> = prepend.into_iter().chain([replace]).collect();
    let cut = if is_cut { stage("never") } else { Value::Null };
    [json!({ "type": "Sequence", "normalizers": normalizers }), cut]
}

/// A normalizer behind other stages.
pub(super) fn behind(stages: Vec<Value>, normalizer: Value) -> Value {
    let all: Vec<Value> = stages.into_iter().chain((!normalizer.is_null()).then_some(normalizer)).collect();
    match &all[..] {
        [] => Value::Null,
        [one] => one.clone(),
        _ => json!({ "type": "Sequence", "normalizers": all }),
    }
}

/// What makes a text of pieces again.
pub(super) fn decoder(prefix: Prefix) -> Value {
    let mut decoders = vec![
        json!({ "type": "Replace", "pattern": { "String": SPACE }, "content": " " }),
        json!({ "type": "ByteFallback" }),
        json!({ "type": "Fuse" }),
    ];
    if prefix != Prefix::None {
        decoders.push(json!({ "type": "Strip", "content": " ", "start": 1, "stop": 0 }));
    }
    json!({ "type": "Sequence", "decoders": decoders })
}

/// The tokenizer with these pieces; a text goes through `stages` first.
pub(crate) fn sentence_pieces(
    entries: &[Entry],
    stages: Vec<Value>,
    prefix: Prefix,
    start: &[u32],
) -> Result<Tokenizer, TokenizerError> {
    let unknown = entries.iter().find(|entry| entry.kind == EntryKind::Unknown).map(|entry| entry.text.clone());
    let has_bytes = entries.iter().any(|entry| entry.kind == EntryKind::Byte);
    let [normalizer, pre_tokenizer] = visible_spaces(prefix, false);
    let file = json!({
        "version": "1.0",
        "added_tokens": added_tokens(entries),
        "normalizer": behind(stages, normalizer),
        "pre_tokenizer": pre_tokenizer,
        "post_processor": post_processor(start, entries)?,
        "decoder": decoder(prefix),
        "model": {
            "type": "BPE", "dropout": null, "unk_token": unknown, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": has_bytes, "ignore_merges": false,
            "vocab": vocabulary(entries)?, "merges": merges(entries),
        },
    });
    Tokenizer::from_json(file.to_string())
}

/// All pairs of pieces that make a piece: those of the highest score first.
fn merges(entries: &[Entry]) -> Vec<Value> {
    let is_spelled = |entry: &Entry| matches!(entry.kind, EntryKind::Normal | EntryKind::UserDefined);
    let numbers: HashMap<&str, usize> = entries
        .iter()
        .enumerate()
        .filter(|(_, entry)| is_spelled(entry))
        .map(|(number, entry)| (entry.text.as_str(), number))
        .collect();
    let mut pairs = Vec::new();
    for entry in entries.iter().filter(|entry| entry.kind == EntryKind::Normal) {
        let cuts = entry.text.char_indices().skip(1).map(|(at, _)| entry.text.split_at(at));
        let known = cuts.filter(|(left, right)| numbers.contains_key(left) && numbers.contains_key(right));
        let mut of_piece: Vec<_> = known.map(|(left, right)| (entry.score, left, right)).collect();
        of_piece.sort_by_key(|(_, left, right)| (numbers.get(left), numbers.get(right)));
        pairs.extend(of_piece);
    }
    pairs.sort_by(|left, right| right.0.partial_cmp(&left.0).unwrap_or(Ordering::Equal));
    pairs.into_iter().map(|(_, left, right)| json!([left, right])).collect()
}
