//! Tokens to text, whole or one by one, never breaking a code point.

use std::sync::Arc;

use super::pipeline;
use super::vocabulary::Vocabulary;

/// How many tokens before a text are enough to tell how it begins.
const NEIGHBOURS: usize = 32;

/// How many tokens may wait for the rest of a character before what there is of them is given out as it is.
const LONGEST_WAIT: usize = 16;

/// Decodes tokens one by one: all texts it gives, joined, are what [`Tokenizer::decode`](super::Tokenizer::decode)
/// gives for all tokens.
#[derive(Debug, Clone)]
pub struct StreamDecoder {
    vocabulary: Arc<Vocabulary>,
    /// Bytes that are not yet a character.
    pending: Vec<u8>,
    /// Where tokens cannot be spelled one by one: those from the last text given out on, and how many of them gave it.
    window: Vec<u32>,
    given: usize,
}

impl StreamDecoder {
    pub(super) fn new(vocabulary: Arc<Vocabulary>) -> Self {
        Self { vocabulary, pending: Vec::new(), window: Vec::new(), given: 0 }
    }

    /// Decodes what follows `before`, whose text was given out already.
    pub(super) fn after(vocabulary: Arc<Vocabulary>, before: &[u32]) -> Self {
        let mut decoder = Self::new(vocabulary);
        if decoder.vocabulary.spelling.is_none() {
            let library = &decoder.vocabulary.library;
            // A token that is no text by itself is part of a character, which must not be cut.
            let is_part = |token: &u32| pipeline::decode(library, &[*token]).contains(char::REPLACEMENT_CHARACTER);
            let mut start = before.len().saturating_sub(NEIGHBOURS);
            while start > 0 && before.get(start).is_some_and(is_part) {
                start -= 1;
            }
            decoder.window = before[start..].to_vec();
            decoder.given = decoder.window.len();
        }
        decoder
    }

    /// The text that `token` completes, if any: bytes of an unfinished character are held back.
    pub fn push(&mut self, token: u32) -> Option<String> {
        let text = match &self.vocabulary.spelling {
            Some(spelling) => {
                self.pending.extend_from_slice(spelling.bytes(token));
                take_characters(&mut self.pending)
            }
            None => self.push_to_window(token),
        };
        (!text.is_empty()).then_some(text)
    }

    /// What is held back at the end: an unfinished character is U+FFFD.
    pub fn finish(mut self) -> String {
        if self.vocabulary.spelling.is_some() {
            return String::from_utf8_lossy(&std::mem::take(&mut self.pending)).into_owned();
        }
        let (before, all) = self.window_texts();
        all.get(before.len()..).unwrap_or_default().to_owned()
    }

    /// Some decoders look at the neighbours of a token (spaces before words, for instance), so it is decoded behind the
    /// tokens of the text given out last, and their text is taken off.
    fn push_to_window(&mut self, token: u32) -> String {
        self.window.push(token);
        let (before, all) = self.window_texts();
        let unfinished = all.ends_with(char::REPLACEMENT_CHARACTER) && self.window.len() - self.given < LONGEST_WAIT;
        if unfinished || !all.starts_with(&before) || all.len() == before.len() {
            return String::new();
        }
        self.window.drain(..self.given);
        self.given = self.window.len();
        all[before.len()..].to_owned()
    }

    fn window_texts(&self) -> (String, String) {
        let library = &self.vocabulary.library;
        (pipeline::decode(library, &self.window[..self.given]), pipeline::decode(library, &self.window))
    }
}

/// Takes from `bytes` all but an unfinished character at the end; wrong bytes become U+FFFD as in `from_utf8_lossy`.
fn take_characters(bytes: &mut Vec<u8>) -> String {
    let unfinished = match bytes.utf8_chunks().last() {
        // The last chunk ends in bytes that more bytes could complete only if nothing followed them.
        Some(chunk) if std::str::from_utf8(chunk.invalid()).is_err_and(|error| error.error_len().is_none()) => {
            chunk.invalid().len()
        }
        _ => 0,
    };
    let finished = bytes.len() - unfinished;
    let text = String::from_utf8_lossy(&bytes[..finished]).into_owned();
    bytes.drain(..finished);
    text
}
