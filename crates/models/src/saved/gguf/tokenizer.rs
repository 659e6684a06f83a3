//! The tokenizer in a GGUF file, as the `tokenizer.json` that it once was.

use std::collections::BTreeMap;

use kiln_storage::formats::gguf::GgufValue;

use super::error::GgufModelError;
use crate::Tokenizer;
use crate::tokenizer::rebuilt::{Entry, EntryKind, Prefix, Splitting, byte_level, sentence_pieces};

pub(super) const MODEL: &str = "tokenizer.ggml.model";
pub(super) const SPLITTING: &str = "tokenizer.ggml.pre";
pub(super) const TOKENS: &str = "tokenizer.ggml.tokens";
pub(super) const SCORES: &str = "tokenizer.ggml.scores";
pub(super) const KINDS: &str = "tokenizer.ggml.token_type";
pub(super) const MERGES: &str = "tokenizer.ggml.merges";
pub(super) const BEGINNING: &str = "tokenizer.ggml.bos_token_id";
pub(super) const END: &str = "tokenizer.ggml.eos_token_id";
const END_OF_TURN: &str = "tokenizer.ggml.eot_token_id";
pub(super) const ADDS_BEGINNING: &str = "tokenizer.ggml.add_bos_token";
pub(super) const ADDS_SPACE: &str = "tokenizer.ggml.add_space_prefix";

type Values = BTreeMap<String, GgufValue>;

/// The tokenizer.
pub(super) fn tokenizer(values: &Values) -> Result<Tokenizer, GgufModelError> {
    let model = values.get(MODEL).and_then(GgufValue::as_text);
    let model = model.ok_or_else(|| GgufModelError::MissingKey(MODEL.to_owned()))?;
    let entries = entries(values)?;
    let flag = |key: &str, default: bool| values.get(key).and_then(GgufValue::as_bool).unwrap_or(default);
    let start = |default: bool| -> Vec<u32> {
        if flag(ADDS_BEGINNING, default) { token(values, BEGINNING).into_iter().collect() } else { Vec::new() }
    };
    let made = match model {
        "gpt2" => {
            let merges = values.get(MERGES).and_then(GgufValue::as_texts);
            let merges = merges.ok_or_else(|| GgufModelError::MissingKey(MERGES.to_owned()))?;
            byte_level(&entries, merges, splitting(values)?, false, &start(false))
        }
        "llama" => {
            let prefix = if flag(ADDS_SPACE, true) { Prefix::Each } else { Prefix::None };
            sentence_pieces(&entries, Vec::new(), prefix, &start(true))
        }
        other => {
            let problem = format!("is \"{other}\", and \"gpt2\" (byte pairs) and \"llama\" (SentencePiece) are read");
            return Err(GgufModelError::Value { key: MODEL.to_owned(), problem });
        }
    };
    made.map_err(GgufModelError::Tokenizer)
}

/// The tokens that end a text or a turn.
pub(super) fn end_tokens(values: &Values) -> Vec<u32> {
    let mut tokens: Vec<u32> = [END, END_OF_TURN].iter().filter_map(|key| token(values, key)).collect();
    tokens.dedup();
    tokens
}

/// The number of a token.
pub(super) fn token(values: &Values, key: &str) -> Option<u32> {
    values.get(key).and_then(GgufValue::as_u64).and_then(|token| u32::try_from(token).ok())
}

/// The text of a token whose number stands under `key`.
pub(super) fn token_text<'a>(values: &'a Values, key: &str) -> Option<&'a str> {
    let tokens = values.get(TOKENS).and_then(GgufValue::as_texts)?;
    tokens.get(token(values, key)? as usize).map(String::as_str)
}

fn splitting(values: &Values) -> Result<Splitting, GgufModelError> {
    // Older files have none, and mean GPT-2's.
    let word = values.get(SPLITTING).and_then(GgufValue::as_text).unwrap_or("gpt-2");
    let problem = || format!("is \"{word}\", a way to cut a text that is not known");
    Splitting::from_word(word).ok_or_else(|| GgufModelError::Value { key: SPLITTING.to_owned(), problem: problem() })
}

fn entries(values: &Values) -> Result<Vec<Entry>, GgufModelError> {
    let texts = values.get(TOKENS).and_then(GgufValue::as_texts);
    let texts = texts.ok_or_else(|| GgufModelError::MissingKey(TOKENS.to_owned()))?;
    let scores = values.get(SCORES).and_then(GgufValue::as_floats);
    let kinds = values.get(KINDS).and_then(GgufValue::as_whole_numbers);
    for (key, length) in [(SCORES, scores.map(<[f64]>::len)), (KINDS, kinds.map(<[i64]>::len))] {
        if length.is_some_and(|length| length != texts.len()) {
            let problem = format!("has {} values for {} tokens", length.unwrap_or_default(), texts.len());
            return Err(GgufModelError::Value { key: key.to_owned(), problem });
        }
    }
    let entry = |(place, text): (usize, &String)| {
        let score = scores.and_then(|scores| scores.get(place)).copied().unwrap_or_default();
        let kind = kinds.and_then(|kinds| kinds.get(place)).map_or(EntryKind::Normal, |kind| kind_of(*kind));
        Entry::new(text.clone(), score, kind)
    };
    let mut entries: Vec<Entry> = texts.iter().enumerate().map(entry).collect();
    // They fill the model's table up, and are never written.
    while entries.last().is_some_and(|entry| entry.kind == EntryKind::Unused) {
        entries.pop();
    }
    Ok(entries)
}

/// The number of a kind.
pub(super) fn number_of(kind: EntryKind) -> i64 {
    match kind {
        EntryKind::Normal => 1,
        EntryKind::Unknown => 2,
        EntryKind::Control => 3,
        EntryKind::UserDefined => 4,
        EntryKind::Unused => 5,
        EntryKind::Byte => 6,
    }
}

fn kind_of(number: i64) -> EntryKind {
    match number {
        2 => EntryKind::Unknown,
        3 => EntryKind::Control,
        4 => EntryKind::UserDefined,
        5 => EntryKind::Unused,
        6 => EntryKind::Byte,
        _ => EntryKind::Normal,
    }
}
