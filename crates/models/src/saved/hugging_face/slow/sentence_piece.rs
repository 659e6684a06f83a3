//! A model of SentencePiece, `tokenizer.model`: pieces with scores, and how a text is prepared
//! (<https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto>).

use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::named::Named;
use super::protobuf::{Field, Fields, NoMessage};
use super::{Problem, SENTENCE_PIECE, bytes};
use crate::Tokenizer;
use crate::tokenizer::rebuilt::{Entry, EntryKind, Prefix, sentence_pieces, unigram};

/// Most pieces that are read: several times the largest vocabulary.
const MOST_PIECES: usize = 4 << 20;

/// How pieces are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Unigram,
    BytePairs,
}

/// What a file says, as far as it is looked at.
struct Model {
    entries: Vec<Entry>,
    kind: Kind,
    preparation: Preparation,
}

/// How a text is prepared.
#[derive(Debug)]
struct Preparation {
    /// Whether a space is put before a text.
    prefix: bool,
    /// Whether spaces at the ends of a text, and all but one of several, are left out.
    removes_spaces: bool,
    /// Which characters become others, in the form that SentencePiece and `tokenizers` share.
    characters: Vec<u8>,
}

/// What is true where the file says nothing.
impl Default for Preparation {
    fn default() -> Self {
        Self { prefix: true, removes_spaces: true, characters: Vec::new() }
    }
}

impl Preparation {
    /// The stages before spaces are made visible.
    fn stages(&self) -> Vec<Value> {
        let mut stages = Vec::new();
        if !self.characters.is_empty() {
            let map = BASE64_STANDARD.encode(&self.characters);
            stages.push(json!({ "type": "Precompiled", "precompiled_charsmap": map }));
        }
        if self.removes_spaces {
            // A sign for a space at the end is taken for one.
            let replacements = [(r"\A +", ""), (" {2,}", " "), ("[ \u{2581}]+\\z", "")];
            stages.extend(replacements.map(|(expression, content)| {
                json!({ "type": "Replace", "pattern": { "Regex": expression }, "content": content })
            }));
        }
        stages
    }
}

/// The tokenizer in the file of a folder.
pub(super) fn tokenizer(folder: &Path, named: &Named) -> Result<Tokenizer, Problem> {
    let file = bytes(folder, SENTENCE_PIECE)?;
    let Model { mut entries, kind, preparation } = read(&file).map_err(|words| Problem::new(SENTENCE_PIECE, words))?;
    named.add_to(&mut entries)?;
    let beginning = named.role("bos_token", "<s>");
    let found = entries.iter().zip(0_u32..).find(|(entry, _)| entry.text == beginning).map(|(_, id)| id);
    let start = match named.adds_beginning.unwrap_or_else(|| begins_by_default(named)) {
        false => None,
        true => Some(found.ok_or_else(|| Problem::new(SENTENCE_PIECE, format!("it has no token {beginning:?}")))?),
    };
    let start: Vec<u32> = start.into_iter().collect();
    let prefix = match (named.prefix.unwrap_or(preparation.prefix), named.is_legacy) {
        (false, _) => Prefix::None,
        (true, false) => Prefix::First,
        (true, true) => Prefix::Each,
    };
    let stages = preparation.stages();
    match kind {
        Kind::BytePairs => sentence_pieces(&entries, stages, prefix, &start),
        Kind::Unigram => unigram(&entries, stages, prefix, &start),
    }
    .map_err(Problem::of(SENTENCE_PIECE))
}

/// Whether the class puts the token for the beginning before a text where nothing is said.
fn begins_by_default(named: &Named) -> bool {
    match named.class.as_deref() {
        Some(class) => ["LlamaTokenizer", "CodeLlamaTokenizer", "GemmaTokenizer"].contains(&class),
        None => matches!(named.family.as_deref(), Some("llama" | "mistral")),
    }
}

fn read(file: &[u8]) -> Result<Model, String> {
    let mut model = Model { entries: Vec::new(), kind: Kind::Unigram, preparation: Preparation::default() };
    for field in Fields::of(file) {
        match field.map_err(no_message)? {
            (1, Field::Bytes(piece)) => {
                if model.entries.len() == MOST_PIECES {
                    return Err(format!("it has more than {MOST_PIECES} pieces"));
                }
                model.entries.push(entry(piece)?);
            }
            (2, Field::Bytes(trainer)) => model.kind = kind(trainer)?,
            (3, Field::Bytes(normalizer)) => model.preparation = preparation(normalizer)?,
            _ => {}
        }
    }
    if model.entries.is_empty() {
        return Err("it has no pieces: it is no model of SentencePiece".to_owned());
    }
    Ok(model)
}

fn no_message(_: NoMessage) -> String {
    "it is cut off or damaged, or no model of SentencePiece".to_owned()
}

fn entry(message: &[u8]) -> Result<Entry, String> {
    let mut entry = Entry::new(String::new(), 0.0, EntryKind::Normal);
    for field in Fields::of(message) {
        match field.map_err(no_message)? {
            (1, Field::Bytes(text)) => {
                let text = std::str::from_utf8(text).map_err(|_| "a piece is not UTF-8".to_owned())?;
                text.clone_into(&mut entry.text);
            }
            (2, field) => entry.score = f64::from(field.float().ok_or("a piece has a score that is no float")?),
            (3, field) => {
                entry.kind = field.whole().and_then(kind_of).ok_or("a piece is of a kind that is not known")?;
            }
            _ => {}
        }
    }
    if !entry.score.is_finite() {
        return Err(format!("the score of the piece {:?} is {}", entry.text, entry.score));
    }
    Ok(entry)
}

fn kind_of(number: u64) -> Option<EntryKind> {
    Some(match number {
        1 => EntryKind::Normal,
        2 => EntryKind::Unknown,
        3 => EntryKind::Control,
        4 => EntryKind::UserDefined,
        5 => EntryKind::Unused,
        6 => EntryKind::Byte,
        _ => return None,
    })
}

/// What the description of the training says; most of it is of no effect afterwards.
fn kind(message: &[u8]) -> Result<Kind, String> {
    let mut kind = Kind::Unigram;
    for field in Fields::of(message) {
        match field.map_err(no_message)? {
            (3, field) => {
                kind = match field.whole() {
                    Some(1) => Kind::Unigram,
                    Some(2) => Kind::BytePairs,
                    Some(other) => {
                        return Err(format!(
                            "its `model_type` is {other}, and 1 (unigram) and 2 (byte pairs) are read"
                        ));
                    }
                    None => return Err("its `model_type` is no number".to_owned()),
                }
            }
            (24, field) if field.flag() == Some(true) => {
                return Err("its `treat_whitespace_as_suffix` is not supported".to_owned());
            }
            _ => {}
        }
    }
    Ok(kind)
}

fn preparation(message: &[u8]) -> Result<Preparation, String> {
    let mut preparation = Preparation::default();
    for field in Fields::of(message) {
        match field.map_err(no_message)? {
            (2, field) => {
                let map = field.bytes().ok_or("its `precompiled_charsmap` is no table")?;
                preparation.characters = map.to_vec();
            }
            (3, field) => preparation.prefix = field.flag().ok_or("its `add_dummy_prefix` is no flag")?,
            (4, field) => {
                preparation.removes_spaces = field.flag().ok_or("its `remove_extra_whitespaces` is no flag")?;
            }
            (5, field) if field.flag() != Some(true) => {
                return Err("its `escape_whitespaces` is off, which is not supported".to_owned());
            }
            _ => {}
        }
    }
    Ok(preparation)
}
