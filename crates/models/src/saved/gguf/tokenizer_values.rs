//! A `tokenizer.json` as the values of a GGUF file.

use std::collections::BTreeMap;

use kiln_storage::formats::gguf::{GgufArray, GgufValue};
use serde_json::Value;

use super::super::open::SavedModel;
use super::error::GgufModelError;
use super::tokenizer::{
    ADDS_BEGINNING, ADDS_SPACE, BEGINNING, END, KINDS, MERGES, MODEL, SCORES, SPLITTING, TOKENS, number_of,
};
use crate::tokenizer::rebuilt::{EntryKind, Splitting};

/// What stands for a space in SentencePiece's tokens.
const SPACE: &str = "\u{2581}";

/// What `llama.cpp` needs to know of the tokenizer.
pub(super) fn tokenizer_values(saved: &SavedModel) -> Result<BTreeMap<String, GgufValue>, GgufModelError> {
    let json = saved.tokenizer.to_json();
    let file: Value = serde_json::from_str(&json).map_err(|error| unfit(&error.to_string()))?;
    let rows = saved.description.vocabulary_size;
    let mut values = BTreeMap::new();
    let mut add = |key: &str, value: GgufValue| _ = values.insert(key.to_owned(), value);
    let mut entries = vec![(String::new(), EntryKind::Unused); rows];
    for (text, id) in vocabulary(&file)? {
        if let Some(entry) = entries.get_mut(id) {
            *entry = (text, EntryKind::Normal);
        }
    }
    match splitting(&file) {
        Some(splitting) => {
            add(MODEL, GgufValue::Text("gpt2".to_owned()));
            add(SPLITTING, GgufValue::Text(splitting.word().to_owned()));
            add(MERGES, GgufValue::Array(GgufArray::Texts(merges(&file)?)));
        }
        None if is_of_characters(&file) => {
            // Characters are pieces of which none are ever merged.
            add(MODEL, GgufValue::Text("llama".to_owned()));
            add(ADDS_SPACE, GgufValue::Bool(false));
            add(SCORES, GgufValue::Array(GgufArray::Floats(vec![0.0; rows])));
            entries.iter_mut().for_each(|(text, _)| *text = text.replace(' ', SPACE));
        }
        None => return Err(unfit("it cuts texts in a way that has no name in these files")),
    }
    for token in file["added_tokens"].as_array().into_iter().flatten() {
        let id = token["id"].as_u64().and_then(|id| usize::try_from(id).ok());
        let kind = if token["special"] == true { EntryKind::Control } else { EntryKind::UserDefined };
        if let (Some(entry), Some(text)) = (id.and_then(|id| entries.get_mut(id)), token["content"].as_str()) {
            *entry = (text.to_owned(), kind);
        }
    }
    for (place, (text, kind)) in entries.iter_mut().enumerate() {
        if *kind == EntryKind::Unused {
            *text = format!("[unused {place}]");
        }
    }
    add(KINDS, GgufValue::Array(GgufArray::Whole(entries.iter().map(|(_, kind)| number_of(*kind)).collect())));
    add(TOKENS, GgufValue::Array(GgufArray::Texts(entries.into_iter().map(|(text, _)| text).collect())));
    add(ADDS_BEGINNING, GgufValue::Bool(!saved.start.is_empty()));
    if let Some(start) = saved.start.first() {
        add(BEGINNING, GgufValue::U32(*start));
    }
    // Without this value `llama.cpp` would take a token of its choice for the end.
    let end = saved.end_tokens().first().copied().unwrap_or(u32::try_from(rows).unwrap_or(u32::MAX).saturating_sub(1));
    add(END, GgufValue::U32(end));
    Ok(values)
}

fn unfit(problem: &str) -> GgufModelError {
    GgufModelError::Value { key: "tokenizer.json".to_owned(), problem: format!("cannot be written: {problem}") }
}

fn vocabulary(file: &Value) -> Result<Vec<(String, usize)>, GgufModelError> {
    let table = file["model"]["vocab"].as_object().ok_or_else(|| unfit("its vocabulary is no table of tokens"))?;
    let entry = |(text, id): (&String, &Value)| Some((text.clone(), usize::try_from(id.as_u64()?).ok()?));
    Ok(table.iter().filter_map(entry).collect())
}

/// Merges are `"left right"` or `["left", "right"]`.
fn merges(file: &Value) -> Result<Vec<String>, GgufModelError> {
    let merge = |merge: &Value| match merge {
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => match &parts[..] {
            [Value::String(left), Value::String(right)] => Some(format!("{left} {right}")),
            _ => None,
        },
        _ => None,
    };
    let merges = file["model"]["merges"].as_array().into_iter().flatten();
    merges.map(|item| merge(item).ok_or_else(|| unfit("a merge is no pair"))).collect()
}

/// How byte pairs cut a text, if it is a way that is known.
fn splitting(file: &Value) -> Option<Splitting> {
    let is_byte_pairs = file["model"]["type"] == "BPE" && file["decoder"]["type"] == "ByteLevel";
    let stage = &file["pre_tokenizer"];
    if !is_byte_pairs {
        return None;
    }
    // Where nothing is merged it makes no difference.
    let has_merges = file["model"]["merges"].as_array().is_some_and(|merges| !merges.is_empty());
    let known = Splitting::ALL.into_iter().find(|splitting| splitting.is_described_by(stage, &file["normalizer"]));
    known.or((!has_merges && stage["type"] == "ByteLevel").then_some(Splitting::Gpt2))
}

/// Whether each character is a token.
fn is_of_characters(file: &Value) -> bool {
    file["model"]["type"] == "WordLevel" && file["pre_tokenizer"]["type"] == "Split"
}
