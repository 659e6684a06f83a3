//! What the files beside a vocabulary say: of which class a tokenizer is, what stands before a text, and which tokens
//! are found in a text before anything else.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};

use super::super::beside::TOKENIZER_CONFIG;
use super::super::{CONFIG, LONGEST_CONFIG, json};
use super::Problem;
use crate::tokenizer::rebuilt::{Entry, EntryKind, Surroundings};

/// Numbers of added tokens by their texts.
const ADDED_TOKENS: &str = "added_tokens.json";
/// Texts of special tokens by what they are for.
const SPECIAL_TOKENS_MAP: &str = "special_tokens_map.json";
/// The longest of these files that is read, bytes.
const LONGEST_FILE: u64 = 16 << 20;

/// A token beside the vocabulary.
struct Added {
    text: String,
    is_special: bool,
    surroundings: Surroundings,
    file: &'static str,
}

impl Added {
    fn new(text: String, file: &'static str) -> Self {
        Self { text, is_special: false, surroundings: Surroundings::default(), file }
    }
}

/// What the files beside a vocabulary say.
pub(super) struct Named {
    /// The class of `transformers`, without the ending of its fast form.
    pub(super) class: Option<String>,
    /// The `model_type` of the model.
    pub(super) family: Option<String>,
    /// Whether the token for the beginning stands before a text; where nothing is said, the class decides.
    pub(super) adds_beginning: Option<bool>,
    /// Whether a space is put before a text; where nothing is said, the class or the model decides.
    pub(super) prefix: Option<bool>,
    /// Whether a space is put behind each added token, too, as old versions did.
    pub(super) is_legacy: bool,
    added: BTreeMap<u32, Added>,
    /// Texts of special tokens by what they are for, for example `bos_token`.
    roles: BTreeMap<String, String>,
    /// Special tokens without a role.
    others: Vec<String>,
}

impl Named {
    pub(super) fn read(folder: &Path) -> Result<Self, Problem> {
        let config = table(folder, TOKENIZER_CONFIG, LONGEST_FILE)?;
        let special = table(folder, SPECIAL_TOKENS_MAP, LONGEST_FILE)?;
        let model = table(folder, CONFIG, LONGEST_CONFIG)?;
        let word = |table: &Map<String, Value>, key: &str| table.get(key).and_then(Value::as_str).map(str::to_owned);
        let flag = |key: &str| config.get(key).and_then(Value::as_bool);
        let mut named = Self {
            class: word(&config, "tokenizer_class").map(|class| class.trim_end_matches("Fast").to_owned()),
            family: word(&model, "model_type"),
            adds_beginning: flag("add_bos_token"),
            prefix: flag("add_prefix_space"),
            is_legacy: flag("legacy") == Some(true),
            added: BTreeMap::new(),
            roles: BTreeMap::new(),
            others: Vec::new(),
        };
        for (text, number) in table(folder, ADDED_TOKENS, LONGEST_FILE)? {
            named.add(ADDED_TOKENS, &number.to_string(), Added::new(text, ADDED_TOKENS))?;
        }
        for (number, token) in config.get("added_tokens_decoder").and_then(Value::as_object).into_iter().flatten() {
            named.add(TOKENIZER_CONFIG, number, decoded(number, token)?)?;
        }
        // What stands in the configuration counts where both say something.
        for table in [&special, &config] {
            named.add_special(table);
        }
        Ok(named)
    }

    fn add(&mut self, file: &'static str, number: &str, token: Added) -> Result<(), Problem> {
        let id = number.parse().map_err(|_| Problem::new(file, format!("it says {number} for a token's number")))?;
        self.added.insert(id, token);
        Ok(())
    }

    fn add_special(&mut self, table: &Map<String, Value>) {
        let roles = table.iter().filter(|(key, _)| key.ends_with("_token"));
        self.roles.extend(roles.filter_map(|(key, value)| Some((key.clone(), content(value)?.to_owned()))));
        let others = ["additional_special_tokens", "extra_special_tokens"];
        let others = others.iter().filter_map(|key| table.get(*key)?.as_array()).flatten();
        self.others.extend(others.filter_map(|value| content(value).map(str::to_owned)));
    }

    /// The special token that stands for this, or what the class has for it.
    pub(super) fn role<'a>(&'a self, role: &str, default: &'a str) -> &'a str {
        self.roles.get(role).map_or(default, String::as_str)
    }

    /// Puts the tokens beside the vocabulary into it, and marks those that are special.
    pub(super) fn add_to(&self, entries: &mut Vec<Entry>) -> Result<(), Problem> {
        for (id, token) in &self.added {
            let place = *id as usize;
            let problem = |words: String| Err(Problem::new(token.file, words));
            if place > 2 * entries.len() + 1024 {
                return problem(format!("the token {:?} has the number {id}, far beyond the vocabulary", token.text));
            }
            for hole in entries.len()..=place {
                entries.push(unused(hole));
            }
            let Some(entry) = entries.get_mut(place) else { continue };
            if entry.kind != EntryKind::Unused && entry.text != token.text {
                let (here, there) = (&token.text, &entry.text);
                return problem(format!("the token {id} is {here:?} here and {there:?} in the vocabulary"));
            }
            entry.text.clone_from(&token.text);
            entry.surroundings = token.surroundings;
            if entry.kind != EntryKind::Unknown {
                entry.kind = if token.is_special { EntryKind::Control } else { EntryKind::UserDefined };
            }
        }
        let special: Vec<&String> = self.roles.values().chain(&self.others).collect();
        for entry in entries.iter_mut().filter(|entry| special.contains(&&entry.text)) {
            if entry.kind != EntryKind::Unknown {
                entry.kind = EntryKind::Control;
            }
        }
        Ok(())
    }
}

/// What stands in a vocabulary where it has no token.
pub(super) fn unused(place: usize) -> Entry {
    Entry::new(format!("[unused {place}]"), 0.0, EntryKind::Unused)
}

/// A token of `added_tokens_decoder`.
fn decoded(number: &str, token: &Value) -> Result<Added, Problem> {
    let problem = |words: String| Problem::new(TOKENIZER_CONFIG, words);
    let text = content(token).ok_or_else(|| problem(format!("its added token {number} has no `content`")))?;
    let flag = |key: &str| token.get(key).and_then(Value::as_bool).unwrap_or_default();
    let surroundings = Surroundings {
        takes_space_before: flag("lstrip"),
        takes_space_behind: flag("rstrip"),
        is_word: flag("single_word"),
    };
    Ok(Added { is_special: flag("special"), surroundings, ..Added::new(text.to_owned(), TOKENIZER_CONFIG) })
}

/// The text of a token, which is a text or a table with one.
fn content(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| value.get("content")?.as_str()).filter(|text| !text.is_empty())
}

/// The table in a file; an empty one where there is no such file.
fn table(folder: &Path, file: &'static str, longest: u64) -> Result<Map<String, Value>, Problem> {
    if !folder.join(file).exists() {
        return Ok(Map::new());
    }
    match json(folder, file, longest) {
        Ok(Value::Object(table)) => Ok(table),
        Ok(_) => Err(Problem::new(file, "is no table of JSON")),
        Err(words) => Err(Problem::new(file, words)),
    }
}
