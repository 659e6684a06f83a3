//! Cutting text into documents at a separator, whose pieces come one by one.

use std::collections::VecDeque;

use super::file::FilePiece;

/// What stands in a corpus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// Text of a document.
    Text(FilePiece),
    /// A separator.
    Separator,
}

/// Finds a separator in text that comes in pieces.
#[derive(Debug)]
pub(super) struct Separated {
    separator: String,
    /// The end of the text so far, which may be the beginning of a separator, and where it starts.
    held: String,
    held_at: u64,
}

impl Separated {
    /// An empty separator is nowhere.
    pub(super) fn new(separator: &str) -> Self {
        Self { separator: separator.to_owned(), held: String::new(), held_at: 0 }
    }

    /// Takes the next piece of a file and appends what is certain by now.
    pub(super) fn push(&mut self, piece: FilePiece, parts: &mut VecDeque<Part>) {
        if self.separator.is_empty() {
            parts.push_back(Part::Text(piece));
            return;
        }
        if self.held.is_empty() {
            self.held_at = piece.offset;
        }
        let mut text = std::mem::take(&mut self.held);
        text.push_str(&piece.text);
        let mut start = 0;
        while let Some(index) = text[start..].find(&self.separator) {
            self.give(&text[start..start + index], parts);
            parts.push_back(Part::Separator);
            self.held_at += self.separator.len() as u64;
            start += index + self.separator.len();
        }
        let longest = self.separator.len() - 1;
        let earliest = text.ceil_char_boundary(text.len().saturating_sub(longest)).max(start);
        let begun = |from: &usize| text.is_char_boundary(*from) && self.separator.starts_with(&text[*from..]);
        let certain = (earliest..text.len()).find(begun).unwrap_or(text.len());
        self.give(&text[start..certain], parts);
        self.held = text.split_off(certain);
    }

    /// Ends the file: what was held back is text.
    pub(super) fn finish(&mut self, parts: &mut VecDeque<Part>) {
        let held = std::mem::take(&mut self.held);
        self.give(&held, parts);
    }

    /// Appends `text` of a document, which starts at `held_at`.
    fn give(&mut self, text: &str, parts: &mut VecDeque<Part>) {
        if !text.is_empty() {
            parts.push_back(Part::Text(FilePiece { text: text.to_owned(), offset: self.held_at }));
            self.held_at += text.len() as u64;
        }
    }
}
