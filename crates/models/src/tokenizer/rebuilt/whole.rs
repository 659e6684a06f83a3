//! Tokens that are found in a text as they are, the longest first, with nothing between them.

use serde_json::{Value, json};

use super::super::error::TokenizerError;
use super::super::handle::Tokenizer;
use super::{Entry, EntryKind, added_tokens, post_processor, vocabulary};

/// The tokenizer with these tokens; a text that is none of them is an error.
pub(crate) fn whole_texts(entries: &[Entry], start: &[u32]) -> Result<Tokenizer, TokenizerError> {
    let added = |entry: &Entry| match entry.kind {
        EntryKind::Normal => Entry { kind: EntryKind::UserDefined, ..entry.clone() },
        _ => entry.clone(),
    };
    let entries: Vec<Entry> = entries.iter().map(added).collect();
    let file = json!({
        "version": "1.0",
        "added_tokens": added_tokens(&entries),
        "normalizer": Value::Null,
        "pre_tokenizer": Value::Null,
        "post_processor": post_processor(start, &entries)?,
        "decoder": { "type": "Fuse" },
        // `WordLevel` always names an unknown token; outside the vocabulary it makes unknown text an error.
        "model": { "type": "WordLevel", "vocab": vocabulary(&entries)?, "unk_token": "<|unknown|>" },
    });
    Tokenizer::from_json(file.to_string())
}
