//! The opened corpus: how long it is, and the text of each split.

use std::collections::VecDeque;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::documents::{Part, Separated};
use super::file::{FilePiece, FilePieces, TextFile};
use super::place::{Place, Split};
use super::{BuiltinCorpus, CorpusError};

/// A piece of a corpus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Text, not empty and of bounded size.
    Text {
        /// The text.
        text: String,
        /// Where it comes from, to tell where something is wrong.
        place: Place,
    },
    /// The end of a document.
    End,
}

/// An opened corpus: its length is known, and its text is read in pieces, as often as one likes, in bounded memory.
#[derive(Debug)]
pub struct Corpus {
    source: Source,
    separator: Option<String>,
    bytes: u64,
    characters: u64,
    train_characters: u64,
}

#[derive(Debug)]
enum Source {
    /// Files, each with the characters of its documents.
    Files(Vec<(TextFile, u64)>),
    Builtin(BuiltinCorpus),
}

impl Corpus {
    /// Counts the characters of `files`, which checks that all of it is UTF-8, and cuts at floor(n * (1 - `fraction`)).
    pub(super) fn of_files(
        files: Vec<TextFile>,
        separator: Option<&str>,
        fraction: f64,
        count: &mut dyn FnMut(u64, u64),
    ) -> Result<Self, CorpusError> {
        let bytes = files.iter().map(|file| file.bytes).sum();
        let mut done = 0;
        let mut counted = Vec::with_capacity(files.len());
        for file in files {
            let mut characters = 0;
            for part in Parts::open(&file.path, separator)? {
                if let Part::Text(piece) = part? {
                    characters += piece.text.chars().count() as u64;
                    count(done + piece.offset, bytes);
                }
            }
            done += file.bytes;
            counted.push((file, characters));
        }
        count(bytes, bytes);
        let characters = counted.iter().map(|(_, characters)| characters).sum();
        let separator = separator.map(str::to_owned);
        let train_characters = training_part(characters, fraction);
        let corpus = Self { source: Source::Files(counted), separator, bytes, characters, train_characters };
        if characters == 0 {
            return Err(CorpusError::Empty { what: corpus.description() });
        }
        corpus.checked(fraction)
    }

    pub(super) fn of_tales(tales: BuiltinCorpus, fraction: f64) -> Result<Self, CorpusError> {
        let characters = tales.characters();
        let train_characters = training_part(characters, fraction);
        let source = Source::Builtin(tales);
        Self { source, separator: None, bytes: characters, characters, train_characters }.checked(fraction)
    }

    /// The corpus, if both splits hold text.
    fn checked(self, fraction: f64) -> Result<Self, CorpusError> {
        let empty = [Split::Train, Split::Validation].into_iter().find(|split| self.range(*split).is_empty());
        match empty {
            // A fraction of 0 asks for no validation, which is how text is opened that is only evaluated.
            Some(split) if fraction > 0.0 => {
                Err(CorpusError::EmptySplit { split, characters: self.characters, fraction })
            }
            _ => Ok(self),
        }
    }

    /// Bytes of the files, separators included.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Characters of the documents, separators left out.
    pub fn characters(&self) -> u64 {
        self.characters
    }

    /// Which characters of the corpus belong to `split`.
    pub fn range(&self, split: Split) -> Range<u64> {
        match split {
            Split::Train => 0..self.train_characters,
            Split::Validation => self.train_characters..self.characters,
        }
    }

    /// About how many bytes the text of `split` has; exact when every character has as many bytes.
    pub fn expected_bytes(&self, split: Split) -> u64 {
        let range = self.range(split);
        let part = (range.end - range.start) as f64 / self.characters.max(1) as f64;
        (self.bytes as f64 * part) as u64
    }

    /// The built-in tales, if the corpus is made of them.
    pub fn tales(&self) -> Option<&BuiltinCorpus> {
        match &self.source {
            Source::Builtin(tales) => Some(tales),
            Source::Files(_) => None,
        }
    }

    /// The file that a place is in, where the corpus has files.
    pub fn path(&self, place: Place) -> Option<&Path> {
        match &self.source {
            Source::Files(files) => files.get(place.file).map(|(file, _)| file.path.as_path()),
            Source::Builtin(_) => None,
        }
    }

    /// The text of `split` in pieces, with the ends of its documents where a separator was given.
    pub fn pieces(&self, split: Split) -> CorpusPieces<'_> {
        let range = self.range(split);
        let (skip, take) = (range.start, range.end - range.start);
        let tales = self.tales().map(|tales| tales.pieces(range));
        CorpusPieces { corpus: self, tales, parts: None, next_file: 0, skip, take, in_document: false, given: 0 }
    }

    fn description(&self) -> String {
        match &self.source {
            Source::Files(files) => {
                let paths: Vec<String> =
                    files.iter().take(3).map(|(file, _)| file.path.display().to_string()).collect();
                let more = if files.len() > 3 { format!(" and {} more files", files.len() - 3) } else { String::new() };
                format!("{}{more}", paths.join(", "))
            }
            Source::Builtin(_) => "the built-in corpus".to_owned(),
        }
    }
}

/// How many of `characters` are trained on: nanoGPT's `int(n * 0.9)`.
fn training_part(characters: u64, fraction: f64) -> u64 {
    (characters as f64 * (1.0 - fraction)) as u64
}

/// The parts of one file.
#[derive(Debug)]
struct Parts {
    pieces: Option<FilePieces>,
    separated: Separated,
    ready: VecDeque<Part>,
}

impl Parts {
    fn open(path: &Path, separator: Option<&str>) -> Result<Self, CorpusError> {
        let separated = Separated::new(separator.unwrap_or_default());
        Ok(Self { pieces: Some(FilePieces::open(path)?), separated, ready: VecDeque::new() })
    }
}

impl Iterator for Parts {
    type Item = Result<Part, CorpusError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(part) = self.ready.pop_front() {
                return Some(Ok(part));
            }
            match self.pieces.as_mut()?.next() {
                Some(Ok(piece)) => self.separated.push(piece, &mut self.ready),
                Some(Err(error)) => {
                    self.pieces = None;
                    return Some(Err(error));
                }
                None => {
                    self.pieces = None;
                    self.separated.finish(&mut self.ready);
                    return self.ready.pop_front().map(Ok);
                }
            }
        }
    }
}

/// The pieces of one split of a corpus.
#[derive(Debug)]
pub struct CorpusPieces<'a> {
    corpus: &'a Corpus,
    tales: Option<super::Pieces>,
    parts: Option<Parts>,
    /// The file after the one being read.
    next_file: usize,
    /// Characters still to leave out, and then to give.
    skip: u64,
    take: u64,
    /// Whether text was given since the last end of a document.
    in_document: bool,
    /// Bytes of the tales given.
    given: u64,
}

impl CorpusPieces<'_> {
    fn next_piece(&mut self) -> Result<Option<Piece>, CorpusError> {
        if let Some(tales) = &mut self.tales {
            let place = Place { file: 0, offset: self.given };
            let text = tales.next();
            self.given += text.as_ref().map_or(0, |text| text.len() as u64);
            return Ok(text.map(|text| Piece::Text { text, place }));
        }
        while self.take > 0 || self.in_document {
            let part = match self.parts.as_mut().and_then(Iterator::next) {
                Some(part) => part?,
                None if self.parts.take().is_some() => Part::Separator,
                None if self.open_next()? => continue,
                None => break,
            };
            match part {
                Part::Text(piece) if self.take > 0 => {
                    let file = self.next_file - 1;
                    let end = piece.offset + piece.text.len() as u64;
                    if let Some(FilePiece { text, offset }) = self.within(piece) {
                        // A split that ends inside a document does not end it.
                        self.in_document = self.take > 0 || offset + text.len() as u64 == end;
                        return Ok(Some(Piece::Text { text, place: Place { file, offset } }));
                    }
                }
                Part::Text(_) => self.in_document = false,
                Part::Separator => {
                    if std::mem::take(&mut self.in_document) && self.corpus.separator.is_some() {
                        return Ok(Some(Piece::End));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Opens the next file that has characters of the split; false if there is none.
    fn open_next(&mut self) -> Result<bool, CorpusError> {
        let Source::Files(files) = &self.corpus.source else { return Ok(false) };
        while let Some((file, characters)) = files.get(self.next_file) {
            self.next_file += 1;
            if *characters <= self.skip {
                self.skip -= characters;
                continue;
            }
            if TextFile::new(&file.path)? != *file {
                return Err(CorpusError::Changed { path: file.path.clone() });
            }
            self.parts = Some(Parts::open(&file.path, self.corpus.separator.as_deref())?);
            return Ok(true);
        }
        if self.take > 0 {
            let path = files.last().map_or_else(PathBuf::new, |(file, _)| file.path.clone());
            return Err(CorpusError::Changed { path });
        }
        Ok(false)
    }

    /// What of `piece` belongs to the split.
    fn within(&mut self, mut piece: FilePiece) -> Option<FilePiece> {
        let characters = piece.text.chars().count() as u64;
        if characters <= self.skip {
            self.skip -= characters;
            return None;
        }
        let start = byte_of_character(&piece.text, self.skip);
        let end = start + byte_of_character(&piece.text[start..], self.take);
        self.take -= (characters - self.skip).min(self.take);
        self.skip = 0;
        piece.text.truncate(end);
        piece.text.drain(..start);
        piece.offset += start as u64;
        Some(piece)
    }
}

impl Iterator for CorpusPieces<'_> {
    type Item = Result<Piece, CorpusError>;

    fn next(&mut self) -> Option<Self::Item> {
        let piece = self.next_piece();
        if piece.is_err() {
            (self.take, self.in_document) = (0, false);
        }
        piece.transpose()
    }
}

/// Where the character with this number starts in `text`, in bytes; its length if it has fewer.
fn byte_of_character(text: &str, number: u64) -> usize {
    if number == 0 {
        return 0;
    }
    let index = usize::try_from(number).ok().and_then(|number| text.char_indices().nth(number));
    index.map_or(text.len(), |(start, _)| start)
}
