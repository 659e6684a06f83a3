//! Byte pairs in two files: the numbers of all tokens, and the pairs in the order in which they are merged.

use std::path::Path;

use serde_json::{Map, Value};

use super::named::{Named, unused};
use super::{Problem, bytes};
use crate::Tokenizer;
use crate::tokenizer::rebuilt::{Entry, EntryKind, Splitting, byte_level};

/// What begins and ends a text of GPT-2 and Qwen.
const END: &str = "<|endoftext|>";

/// The tokenizer in a vocabulary and its merges.
pub(super) fn tokenizer(folder: &Path, files: [&'static str; 2], named: &Named) -> Result<Tokenizer, Problem> {
    let [vocabulary, merges] = files;
    let splitting = splitting(vocabulary, named)?;
    let prefix = named.prefix == Some(true);
    if prefix && splitting != Splitting::Gpt2 {
        return Err(Problem::new(
            vocabulary,
            "`tokenizer_config.json` sets `add_prefix_space`, which is not supported of this class",
        ));
    }
    let mut entries = entries(folder, vocabulary)?;
    for entry in entries.iter_mut().filter(|entry| entry.text == END) {
        entry.kind = EntryKind::Control;
    }
    named.add_to(&mut entries)?;
    let beginning = named.role("bos_token", END);
    let start = if named.adds_beginning == Some(true) {
        let place = entries.iter().zip(0_u32..).find(|(entry, _)| entry.text == beginning);
        let (_, id) = place.ok_or_else(|| Problem::new(vocabulary, format!("it has no token {beginning:?}")))?;
        vec![id]
    } else {
        Vec::new()
    };
    let text = bytes(folder, merges)?;
    let text = std::str::from_utf8(&text).map_err(|_| Problem::new(merges, "it is not UTF-8"))?;
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with("#version"));
    let pairs: Vec<String> = lines.map(str::to_owned).collect();
    byte_level(&entries, &pairs, splitting, prefix, &start).map_err(Problem::of(merges))
}

/// Where a text is cut, which only the class says, or the model where there is none.
fn splitting(file: &'static str, named: &Named) -> Result<Splitting, Problem> {
    match (named.class.as_deref(), named.family.as_deref()) {
        (Some("GPT2Tokenizer"), _) | (None, Some("gpt2")) => Ok(Splitting::Gpt2),
        (Some("Qwen2Tokenizer"), _) | (None, Some("qwen2" | "qwen3")) => Ok(Splitting::Qwen2),
        (class, family) => {
            let class = class.map(|class| format!("`tokenizer_class` \"{class}\""));
            let family = format!("`model_type` \"{}\"", family.unwrap_or_default());
            let words = class.unwrap_or(family);
            Err(Problem::new(
                file,
                format!("how a text is cut isn't known of {words}, and is of GPT2Tokenizer and Qwen2Tokenizer"),
            ))
        }
    }
}

/// The tokens by their numbers, which may leave holes but small ones.
fn entries(folder: &Path, file: &'static str) -> Result<Vec<Entry>, Problem> {
    let problem = |words: String| Problem::new(file, words);
    let table: Map<String, Value> =
        serde_json::from_slice(&bytes(folder, file)?).map_err(|error| problem(error.to_string()))?;
    let mut entries: Vec<Entry> = Vec::new();
    let most = 2 * table.len() + 1024;
    for (text, number) in table {
        let place = number.as_u64().and_then(|number| usize::try_from(number).ok()).filter(|place| *place < most);
        let place = place.ok_or_else(|| problem(format!("it says {number} for the number of the token {text:?}")))?;
        for hole in entries.len()..=place {
            entries.push(unused(hole));
        }
        if let Some(entry) = entries.get_mut(place) {
            if entry.kind != EntryKind::Unused {
                return Err(problem(format!("{:?} and {text:?} are both token {place}", entry.text)));
            }
            *entry = Entry::new(text, 0.0, EntryKind::Normal);
        }
    }
    Ok(entries)
}
