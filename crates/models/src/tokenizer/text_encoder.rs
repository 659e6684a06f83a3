//! Text that comes in pieces to tokens, as if it had come whole.

use std::collections::HashMap;
use std::sync::Arc;

use super::error::TokenizerError;
use super::pipeline;
use super::vocabulary::{Characters, Method, Vocabulary};
use super::words::Words;

/// Text without a place to cut is held back up to this many bytes, and then cut where it stands.
const MOST_HELD: usize = 1 << 20;

/// How much text the crate is given at a time; it slows down on more.
const PIPELINE_PIECE: usize = 64 << 10;

/// Words whose tokens are remembered, and the longest of them in bytes.
const REMEMBERED_WORDS: usize = 1 << 17;
const LONGEST_REMEMBERED: usize = 48;

/// Encodes text that comes in pieces of any size: all tokens together are those of
/// [`Tokenizer::encode`](super::Tokenizer::encode) for the whole text.
///
/// Where that cannot be known before the end, text is held back. Two exceptions keep memory bounded: a megabyte without
/// white space is cut, and the text of a [`super::TokenizerConfig::File`] of a kind that Kiln does not know is encoded
/// line by line (in groups of lines), which is what such tokenizers give for the whole unless they look across line
/// ends.
#[derive(Debug)]
pub struct TextEncoder {
    vocabulary: Arc<Vocabulary>,
    held: String,
    /// Where `held` starts in the text, in bytes.
    position: u64,
    words: Words,
    remembered: Remembered,
}

/// Tokens of words seen before.
#[derive(Debug, Default)]
struct Remembered {
    places: HashMap<Box<str>, (u32, u32)>,
    tokens: Vec<u32>,
}

/// How a block of text ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// More may follow.
    Open,
    /// Nothing follows.
    Closed,
}

impl TextEncoder {
    pub(super) fn new(vocabulary: Arc<Vocabulary>) -> Self {
        Self {
            vocabulary,
            held: String::new(),
            position: 0,
            words: Words::default(),
            remembered: Remembered::default(),
        }
    }

    /// Takes the next piece of the text and appends the tokens that are certain by now.
    ///
    /// # Errors
    /// As for [`Tokenizer::encode`](super::Tokenizer::encode); offsets count from the start of the text.
    pub fn push(&mut self, text: &str, tokens: &mut Vec<u32>) -> Result<(), TokenizerError> {
        let mut held = std::mem::take(&mut self.held);
        held.push_str(text);
        let end = if held.len() > MOST_HELD.max(2 * text.len()) { End::Closed } else { End::Open };
        let done = self.block(&held, end, tokens)?;
        held.drain(..done);
        self.position += done as u64;
        self.held = held;
        Ok(())
    }

    /// Ends the text: appends the tokens of what was held back. What is pushed next begins a new text, with offsets
    /// counted on.
    ///
    /// # Errors
    /// As for [`Tokenizer::encode`](super::Tokenizer::encode).
    pub fn finish(&mut self, tokens: &mut Vec<u32>) -> Result<(), TokenizerError> {
        let held = std::mem::take(&mut self.held);
        self.block(&held, End::Closed, tokens)?;
        self.position += held.len() as u64;
        Ok(())
    }

    /// Appends the tokens of a text that is all there.
    pub(super) fn encode_whole(&mut self, text: &str, tokens: &mut Vec<u32>) -> Result<(), TokenizerError> {
        let inner = &self.vocabulary;
        match inner.method {
            Method::Pipeline => pipeline::encode(&inner.library, inner.byte_level, text, 0, tokens),
            _ => self.block(text, End::Closed, tokens).map(drop),
        }
    }

    /// Appends the tokens of as much of `text` as is certain; returns how many bytes that is.
    fn block(&mut self, text: &str, end: End, tokens: &mut Vec<u32>) -> Result<usize, TokenizerError> {
        let inner = Arc::clone(&self.vocabulary);
        if matches!(inner.method, Method::Pipeline) {
            return self.lines(text, end, tokens);
        }
        let undecided = |from| if end == End::Open { inner.special.undecided(text, from) } else { text.len() };
        let mut start = 0;
        let mut limit = undecided(0);
        for found in inner.special.find_all(text) {
            if found.start >= limit {
                break;
            }
            self.plain(&text[start..found.start], start, tokens)?;
            tokens.push(found.id);
            start = found.end;
            limit = if limit < start { undecided(start) } else { limit };
        }
        let rest = &text[start..limit];
        let certain = match (end, &inner.method) {
            (End::Open, Method::Words) => self.words.last_boundary(rest).unwrap_or(0),
            _ => rest.len(),
        };
        self.plain(&rest[..certain], start, tokens)?;
        Ok(start + certain)
    }

    /// Appends the tokens of `text`, in which there are no special tokens, at byte `start` of the block.
    fn plain(&mut self, text: &str, start: usize, tokens: &mut Vec<u32>) -> Result<(), TokenizerError> {
        let at = self.position + start as u64;
        let inner = Arc::clone(&self.vocabulary);
        match &inner.method {
            Method::Characters(characters) => encode_characters(characters, text, at, tokens),
            Method::Bytes(bytes) => encode_bytes(bytes, text, at, tokens),
            Method::Words => {
                let remembered = &mut self.remembered;
                let library = &inner.library;
                self.words.each(text, |index, word| remembered.encode(library, word, at + index as u64, tokens))
            }
            Method::Pipeline => pipeline::encode(&inner.library, inner.byte_level, text, at, tokens),
        }
    }

    /// Appends the tokens of the whole lines of `text`, in groups; a line ends where the next begins with something
    /// seen.
    fn lines(&mut self, text: &str, end: End, tokens: &mut Vec<u32>) -> Result<usize, TokenizerError> {
        let mut start = 0;
        while start < text.len() {
            let group = group_of_lines(&text[start..]);
            match (group, end) {
                (Some(length), _) => {
                    self.plain(&text[start..start + length], start, tokens)?;
                    start += length;
                }
                (None, End::Open) => break,
                (None, End::Closed) => {
                    self.plain(&text[start..], start, tokens)?;
                    start = text.len();
                }
            }
        }
        Ok(start)
    }
}

/// Length of the lines that `text` begins with, as many as fit the piece and one at least; `None` if it has no line
/// end.
fn group_of_lines(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let ends =
        |index: &usize| bytes[*index] == b'\n' && bytes.get(index + 1).is_some_and(|next| !next.is_ascii_whitespace());
    let within = PIPELINE_PIECE.min(bytes.len());
    let last = (0..within).rev().find(ends).or_else(|| (within..bytes.len()).find(ends));
    last.map(|index| index + 1)
}

fn encode_characters(table: &Characters, text: &str, at: u64, tokens: &mut Vec<u32>) -> Result<(), TokenizerError> {
    tokens.reserve(text.len());
    for (index, character) in text.char_indices() {
        let token = table.get(character).or(table.unknown);
        tokens.push(token.ok_or(TokenizerError::UnknownText { character, offset: at + index as u64 })?);
    }
    Ok(())
}

fn encode_bytes(table: &[Option<u32>], text: &str, at: u64, tokens: &mut Vec<u32>) -> Result<(), TokenizerError> {
    tokens.reserve(text.len());
    for (index, byte) in text.bytes().enumerate() {
        let Some(token) = table.get(usize::from(byte)).copied().flatten() else {
            let (start, character) =
                text.char_indices().take_while(|(start, _)| *start <= index).last().unwrap_or_default();
            return Err(TokenizerError::UnknownText { character, offset: at + start as u64 });
        };
        tokens.push(token);
    }
    Ok(())
}

impl Remembered {
    /// Appends the tokens of `word`, remembered or asked from the crate.
    fn encode(
        &mut self,
        library: &tokenizers::Tokenizer,
        word: &str,
        at: u64,
        tokens: &mut Vec<u32>,
    ) -> Result<(), TokenizerError> {
        if let Some((start, end)) = self.places.get(word) {
            tokens.extend_from_slice(&self.tokens[*start as usize..*end as usize]);
            return Ok(());
        }
        let first = tokens.len();
        pipeline::encode_spelled(library, word, at, tokens)?;
        if word.len() > LONGEST_REMEMBERED {
            return Ok(());
        }
        if self.places.len() >= REMEMBERED_WORDS {
            self.places.clear();
            self.tokens.clear();
        }
        let start = self.tokens.len() as u32;
        self.tokens.extend_from_slice(&tokens[first..]);
        self.places.insert(word.into(), (start, self.tokens.len() as u32));
        Ok(())
    }
}
