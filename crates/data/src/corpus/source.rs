//! The opened corpus: how long it is, and the text of each split.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use super::documents::{Part, Separated};
use super::every::{Documents, EveryDocument};
use super::file::{FilePiece, FilePieces, TextFile};
use super::pairs::{Pair, Pairs};
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
        /// Whether it is to be predicted: all text but the sources of pairs.
        is_predicted: bool,
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
    documents: u64,
    separators: u64,
    cut: Cut,
}

/// How a corpus is cut into its splits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Cut {
    /// The last characters validate, this part of them; of n the first floor(n * (1 - fraction)) are trained on.
    Fraction(f64),
    /// Whole documents validate, chosen by their numbers.
    Every(EveryDocument),
    /// The files from this one on validate.
    Files(usize),
}

#[derive(Debug)]
enum Source {
    /// Files, each with the characters of its documents.
    Files(Vec<(TextFile, u64)>),
    Builtin(BuiltinCorpus),
    Pairs(Pairs),
}

impl Corpus {
    /// Counts the characters of `files`, which checks that all of it is UTF-8, and cuts.
    pub(super) fn of_files(
        files: Vec<TextFile>,
        separator: Option<&str>,
        cut: Cut,
        count: &mut dyn FnMut(u64, u64),
    ) -> Result<Self, CorpusError> {
        let bytes = files.iter().map(|file| file.bytes).sum();
        let mut done = 0;
        let mut counted = Vec::with_capacity(files.len());
        let mut documents = Documents::default();
        let (mut chosen, mut separators) = (0, 0);
        for file in files {
            let mut characters = 0;
            for part in Parts::open(&file.path, separator)? {
                match part? {
                    Part::Text(piece) => {
                        let here = piece.text.chars().count() as u64;
                        characters += here;
                        let number = documents.text();
                        if matches!(cut, Cut::Every(every) if every.split(number) == Split::Train) {
                            chosen += here;
                        }
                        count(done + piece.offset, bytes);
                    }
                    Part::Separator => {
                        separators += 1;
                        documents.end();
                    }
                }
            }
            documents.end();
            done += file.bytes;
            counted.push((file, characters));
        }
        count(bytes, bytes);
        let of = |files: &[(TextFile, u64)]| files.iter().map(|(_, characters)| characters).sum();
        let characters = of(&counted);
        let train_characters = match cut {
            Cut::Fraction(fraction) => training_part(characters, fraction),
            Cut::Every(_) => chosen,
            Cut::Files(first) => of(&counted[..first.min(counted.len())]),
        };
        let (source, separator) = (Source::Files(counted), separator.map(str::to_owned));
        let documents = documents.count();
        let corpus = Self { source, separator, bytes, characters, train_characters, documents, separators, cut };
        if characters == 0 {
            return Err(CorpusError::Empty { what: corpus.description() });
        }
        corpus.checked()
    }

    pub(super) fn of_tales(tales: BuiltinCorpus, fraction: f64) -> Result<Self, CorpusError> {
        let characters = tales.characters();
        let train_characters = training_part(characters, fraction);
        let (source, cut) = (Source::Builtin(tales), Cut::Fraction(fraction));
        let (separator, bytes, documents, separators) = (None, characters, 1, 0);
        Self { source, separator, bytes, characters, train_characters, documents, separators, cut }.checked()
    }

    /// A pair is two documents, its source and its target.
    pub(super) fn of_pairs(pairs: Pairs) -> Self {
        let characters = |pairs: &[(Pair, [Place; 2])]| {
            let of_pair = |(pair, _): &(Pair, _)| pair.source.chars().count() + pair.target.chars().count();
            pairs.iter().map(of_pair).sum::<usize>() as u64
        };
        let bytes = pairs.all.iter().map(|(pair, _)| pair.source.len() + pair.target.len()).sum::<usize>() as u64;
        let (all, train_characters) = (characters(&pairs.all), characters(&pairs.all[..pairs.trained]));
        let (documents, cut) = (pairs.all.len() as u64, Cut::Fraction(0.0));
        let source = Source::Pairs(pairs);
        Self { source, separator: None, bytes, characters: all, train_characters, documents, separators: 0, cut }
    }

    /// The corpus, if both splits hold text.
    fn checked(self) -> Result<Self, CorpusError> {
        let empty = [Split::Train, Split::Validation].into_iter().find(|split| self.characters_of(*split) == 0);
        let Some(split) = empty else { return Ok(self) };
        let why = match self.cut {
            // A fraction of 0 asks for no validation, which is how text is opened that is only evaluated.
            Cut::Fraction(0.0) => return Ok(self),
            Cut::Fraction(fraction) => {
                format!("the corpus has {} characters and `data.validation-fraction` is {fraction}", self.characters)
            }
            Cut::Every(_) => format!(
                "the corpus has {} {}, of which `data.validation` leaves none; {}",
                self.documents,
                if self.documents == 1 { "document" } else { "documents" },
                match &self.separator {
                    None => "a file is a document where `data.separator` is left out",
                    Some(_) => "choose more of them, or `validation-fraction` instead",
                }
            ),
            Cut::Files(_) => "every file that is named for it is named for the other one too".to_owned(),
        };
        Err(CorpusError::EmptySplit { split, why })
    }

    /// Bytes of the files, separators included.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Characters of the documents, separators left out.
    pub fn characters(&self) -> u64 {
        self.characters
    }

    /// How many of the characters belong to `split`.
    pub fn characters_of(&self, split: Split) -> u64 {
        match split {
            Split::Train => self.train_characters,
            Split::Validation => self.characters - self.train_characters,
        }
    }

    /// Documents that hold text, of both splits; without a separator each file is one, or each pair.
    pub fn documents(&self) -> u64 {
        self.documents
    }

    /// How often the separator is in the text.
    pub fn separators(&self) -> u64 {
        self.separators
    }

    /// About how many bytes the text of `split` has; exact when every character has as many bytes.
    pub fn expected_bytes(&self, split: Split) -> u64 {
        let part = self.characters_of(split) as f64 / self.characters.max(1) as f64;
        (self.bytes as f64 * part) as u64
    }

    /// The built-in tales, if the corpus is made of them.
    pub fn tales(&self) -> Option<&BuiltinCorpus> {
        match &self.source {
            Source::Builtin(tales) => Some(tales),
            Source::Files(_) | Source::Pairs(_) => None,
        }
    }

    /// The file that a place is in, where the corpus has files.
    pub fn path(&self, place: Place) -> Option<&Path> {
        match &self.source {
            Source::Files(files) => files.get(place.file).map(|(file, _)| file.path.as_path()),
            Source::Pairs(pairs) => pairs.files.get(place.file).map(PathBuf::as_path),
            Source::Builtin(_) => None,
        }
    }

    /// Whether a target is known exactly from its source.
    pub fn is_translated_exactly(&self) -> bool {
        matches!(&self.source, Source::Pairs(pairs) if pairs.files.is_empty())
    }

    /// The text of `split` in pieces, with the ends of its documents where a separator was given.
    pub fn pieces(&self, split: Split) -> CorpusPieces<'_> {
        let take = self.characters_of(split);
        let (skip, chosen) = match (self.cut, split) {
            (Cut::Every(every), split) => (0, Some(Chosen { every, split, documents: Documents::default() })),
            (_, Split::Train) => (0, None),
            (_, Split::Validation) => (self.train_characters, None),
        };
        let pairs = match (&self.source, split) {
            (Source::Pairs(pairs), Split::Train) => &pairs.all[..pairs.trained],
            (Source::Pairs(pairs), Split::Validation) => &pairs.all[pairs.trained..],
            _ => &[],
        };
        let tales = self.tales().map(|tales| tales.pieces(skip..skip + take));
        let (parts, in_document) = (None, false);
        let pairs = Box::new(pairs.iter().flat_map(documents_of));
        CorpusPieces { corpus: self, tales, pairs, parts, next_file: 0, chosen, skip, take, in_document, given: 0 }
    }

    fn description(&self) -> String {
        match &self.source {
            Source::Files(files) => {
                let paths: Vec<String> =
                    files.iter().take(3).map(|(file, _)| file.path.display().to_string()).collect();
                let more = if files.len() > 3 { format!(" and {} more files", files.len() - 3) } else { String::new() };
                format!("{}{more}", paths.join(", "))
            }
            Source::Builtin(_) | Source::Pairs(_) => "the built-in corpus".to_owned(),
        }
    }
}

/// A pair as two documents.
fn documents_of((pair, [source, target]): &(Pair, [Place; 2])) -> [Piece; 4] {
    let text = |text: &String, place: &Place, is_predicted: bool| Piece::Text {
        text: text.clone(),
        place: *place,
        is_predicted,
    };
    [text(&pair.source, source, false), Piece::End, text(&pair.target, target, true), Piece::End]
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

/// The documents of one split, chosen by their numbers.
#[derive(Debug)]
struct Chosen {
    every: EveryDocument,
    split: Split,
    documents: Documents,
}

/// The pieces of one split of a corpus.
pub struct CorpusPieces<'a> {
    corpus: &'a Corpus,
    tales: Option<super::Pieces>,
    /// The sources and targets of pairs.
    pairs: Box<dyn Iterator<Item = Piece> + 'a>,
    parts: Option<Parts>,
    /// The file after the one being read.
    next_file: usize,
    /// Which documents are given, where they are chosen by their numbers.
    chosen: Option<Chosen>,
    /// Characters still to leave out, and then to give.
    skip: u64,
    take: u64,
    /// Whether text was given since the last end of a document.
    in_document: bool,
    /// Bytes of the tales given.
    given: u64,
}

impl Chosen {
    /// Whether the document whose text comes belongs to the other split.
    fn leaves_out(&mut self) -> bool {
        self.every.split(self.documents.text()) != self.split
    }
}

impl CorpusPieces<'_> {
    fn next_piece(&mut self) -> Result<Option<Piece>, CorpusError> {
        if let Some(tales) = &mut self.tales {
            let place = Place { file: 0, offset: self.given };
            let text = tales.next();
            self.given += text.as_ref().map_or(0, |text| text.len() as u64);
            return Ok(text.map(|text| Piece::Text { text, place, is_predicted: true }));
        }
        if let Source::Pairs(_) = &self.corpus.source {
            return Ok(self.pairs.next());
        }
        while self.take > 0 || self.in_document {
            let part = match self.parts.as_mut().and_then(Iterator::next) {
                Some(part) => part?,
                None if self.parts.take().is_some() => Part::Separator,
                None if self.open_next()? => continue,
                None => break,
            };
            match part {
                Part::Text(_) if self.chosen.as_mut().is_some_and(Chosen::leaves_out) => {}
                Part::Text(piece) if self.take > 0 => {
                    let file = self.next_file - 1;
                    let end = piece.offset + piece.text.len() as u64;
                    if let Some(FilePiece { text, offset }) = self.within(piece) {
                        // A split that ends inside a document does not end it.
                        self.in_document = self.take > 0 || offset + text.len() as u64 == end;
                        return Ok(Some(Piece::Text { text, place: Place { file, offset }, is_predicted: true }));
                    }
                }
                Part::Text(_) => self.in_document = false,
                Part::Separator => {
                    if let Some(chosen) = &mut self.chosen {
                        chosen.documents.end();
                    }
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
