//! A `tokenizer.json` made of what other programs keep of a tokenizer: its tokens, their kinds and scores, and merges.

mod byte_level;
mod pieces;
mod unigram;
mod whole;

use serde_json::{Map, Value, json};

pub(crate) use self::byte_level::{Splitting, byte_level};
pub(crate) use self::pieces::{Prefix, sentence_pieces};
pub(crate) use self::unigram::unigram;
pub(crate) use self::whole::whole_texts;
use super::error::TokenizerError;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EntryKind {
    /// A piece of text.
    Normal,
    /// The one for what cannot be spelled.
    Unknown,
    /// A sign that no text spells, for example for the end.
    Control,
    /// A text that is always one token.
    UserDefined,
    /// None at all: it fills a table.
    Unused,
    /// A byte.
    Byte,
}

/// A token; its number is its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) text: String,
    pub(crate) score: f64,
    pub(crate) kind: EntryKind,
    pub(crate) surroundings: Surroundings,
}

/// What a token that is found in a text before anything else wants of what stands beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Surroundings {
    /// White space before it belongs to it.
    pub(crate) takes_space_before: bool,
    /// White space behind it belongs to it.
    pub(crate) takes_space_behind: bool,
    /// It is found only where no letters stand beside it.
    pub(crate) is_word: bool,
}

impl Entry {
    pub(crate) fn new(text: impl Into<String>, score: f64, kind: EntryKind) -> Self {
        Self { text: text.into(), score, kind, surroundings: Surroundings::default() }
    }
}

/// The tokens that a text begins with, by their numbers; their texts must be there.
fn post_processor(start: &[u32], entries: &[Entry]) -> Result<Value, TokenizerError> {
    if start.is_empty() {
        return Ok(Value::Null);
    }
    let (mut items, mut special) = (Vec::new(), Map::new());
    for id in start {
        let entry = entries.get(*id as usize).ok_or_else(|| invalid(format!("it has no token {id} to begin with")))?;
        items.push(json!({ "SpecialToken": { "id": entry.text, "type_id": 0 } }));
        special.insert(entry.text.clone(), json!({ "id": entry.text, "ids": [id], "tokens": [entry.text] }));
    }
    let sequence = |name: &str| json!({ "Sequence": { "id": name, "type_id": 0 } });
    items.push(sequence("A"));
    let pair = [items.clone(), vec![sequence("B")]].concat();
    Ok(json!({ "type": "TemplateProcessing", "single": items, "pair": pair, "special_tokens": special }))
}

/// Tokens that are found in a text before anything else.
fn added_tokens(entries: &[Entry]) -> Vec<Value> {
    let added = entries.iter().zip(0_u32..).filter(|(entry, _)| {
        !entry.text.is_empty() && matches!(entry.kind, EntryKind::Control | EntryKind::Unknown | EntryKind::UserDefined)
    });
    let token = |(entry, id): (&Entry, u32)| {
        json!({
            "id": id, "content": entry.text, "single_word": entry.surroundings.is_word,
            "lstrip": entry.surroundings.takes_space_before, "rstrip": entry.surroundings.takes_space_behind,
            "normalized": false, "special": entry.kind != EntryKind::UserDefined,
        })
    };
    added.map(token).collect()
}

/// Makes sure that no text is that of two tokens.
fn check_texts(entries: &[Entry]) -> Result<(), TokenizerError> {
    vocabulary(entries).map(|_| ())
}

/// The numbers of all tokens.
fn vocabulary(entries: &[Entry]) -> Result<Map<String, Value>, TokenizerError> {
    let mut numbers = Map::new();
    for (entry, id) in entries.iter().zip(0_u32..) {
        if numbers.insert(entry.text.clone(), json!(id)).is_some() {
            return Err(invalid(format!("the token {:?} stands there twice", entry.text)));
        }
    }
    Ok(numbers)
}

fn invalid(reason: String) -> TokenizerError {
    TokenizerError::Invalid { place: "what the file says of its tokenizer".to_owned(), reason }
}
