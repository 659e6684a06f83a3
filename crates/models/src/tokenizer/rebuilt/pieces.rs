//! SentencePiece's byte pairs (Kudo and Richardson 2018, <https://arxiv.org/abs/1808.06226>), as Llama 1 and 2 have
//! them: pieces with scores, of which the pair that makes the piece of the highest score is merged first.

use std::cmp::Ordering;
use std::collections::HashMap;

use serde_json::{Value, json};

use super::super::error::TokenizerError;
use super::super::handle::Tokenizer;
use super::{Entry, EntryKind, added_tokens, post_processor, vocabulary};

/// What stands for a space.
const SPACE: &str = "\u{2581}";

/// The tokenizer with these pieces; with `prefix` a space is put before a text.
pub(crate) fn sentence_pieces(entries: &[Entry], prefix: bool, start: &[u32]) -> Result<Tokenizer, TokenizerError> {
    let unknown = entries.iter().find(|entry| entry.kind == EntryKind::Unknown).map(|entry| entry.text.clone());
    let has_bytes = entries.iter().any(|entry| entry.kind == EntryKind::Byte);
    let replace = json!({ "type": "Replace", "pattern": { "String": " " }, "content": SPACE });
    let mut normalizers = vec![replace];
    let mut decoders = vec![
        json!({ "type": "Replace", "pattern": { "String": SPACE }, "content": " " }),
        json!({ "type": "ByteFallback" }),
        json!({ "type": "Fuse" }),
    ];
    if prefix {
        normalizers.insert(0, json!({ "type": "Prepend", "prepend": SPACE }));
        decoders.push(json!({ "type": "Strip", "content": " ", "start": 1, "stop": 0 }));
    }
    let file = json!({
        "version": "1.0",
        "added_tokens": added_tokens(entries),
        "normalizer": { "type": "Sequence", "normalizers": normalizers },
        "pre_tokenizer": null,
        "post_processor": post_processor(start, entries)?,
        "decoder": { "type": "Sequence", "decoders": decoders },
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
