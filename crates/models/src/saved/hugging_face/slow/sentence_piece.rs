//! A model of SentencePiece, `tokenizer.model`: pieces with scores, and how a text is prepared
//! (<https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto>).

use std::path::Path;

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
    /// Whether a space is put before a text.
    prefix: bool,
}

/// The tokenizer in the file of a folder.
pub(super) fn tokenizer(folder: &Path, named: &Named) -> Result<Tokenizer, Problem> {
    let file = bytes(folder, SENTENCE_PIECE)?;
    let Model { mut entries, kind, prefix } = read(&file).map_err(|words| Problem::new(SENTENCE_PIECE, words))?;
    named.add_to(&mut entries)?;
    let beginning = named.role("bos_token", "<s>");
    let found = entries.iter().zip(0_u32..).find(|(entry, _)| entry.text == beginning).map(|(_, id)| id);
    let start = match named.adds_beginning.unwrap_or_else(|| begins_by_default(named)) {
        false => None,
        true => Some(found.ok_or_else(|| Problem::new(SENTENCE_PIECE, format!("it has no token {beginning:?}")))?),
    };
    let start: Vec<u32> = start.into_iter().collect();
    let prefix = match (named.prefix.unwrap_or(prefix), named.is_legacy) {
        (false, _) => Prefix::None,
        (true, false) => Prefix::First,
        (true, true) => Prefix::Each,
    };
    match kind {
        Kind::BytePairs => sentence_pieces(&entries, prefix, &start),
        Kind::Unigram => unigram(&entries, prefix, &start),
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
    let mut model = Model { entries: Vec::new(), kind: Kind::Unigram, prefix: true };
    for field in Fields::of(file) {
        match field.map_err(no_message)? {
            (1, Field::Bytes(piece)) => {
                if model.entries.len() == MOST_PIECES {
                    return Err(format!("it has more than {MOST_PIECES} pieces"));
                }
                model.entries.push(entry(piece)?);
            }
            (2, Field::Bytes(trainer)) => model.kind = kind(trainer)?,
            (3, Field::Bytes(normalizer)) => model.prefix = prefix(normalizer)?,
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
    let mut entry = Entry { text: String::new(), score: 0.0, kind: EntryKind::Normal };
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

/// How a text is prepared, of which the space before it is all that may differ.
fn prefix(message: &[u8]) -> Result<bool, String> {
    // What is true where the file says nothing.
    let (mut prefix, mut removes_spaces) = (true, true);
    for field in Fields::of(message) {
        match field.map_err(no_message)? {
            (2, field) if field.bytes().is_none_or(|map| !map.is_empty()) => {
                return Err("its `precompiled_charsmap` changes characters, which is not supported".to_owned());
            }
            (3, field) => prefix = field.flag().ok_or("its `add_dummy_prefix` is no flag")?,
            (4, field) => removes_spaces = field.flag().ok_or("its `remove_extra_whitespaces` is no flag")?,
            (5, field) if field.flag() != Some(true) => {
                return Err("its `escape_whitespaces` is off, which is not supported".to_owned());
            }
            _ => {}
        }
    }
    if removes_spaces {
        return Err("its `remove_extra_whitespaces` is on, which is not supported".to_owned());
    }
    Ok(prefix)
}
