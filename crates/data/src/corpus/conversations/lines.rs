//! The lines of files of conversations.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;

use kiln_models::Message;
use serde::{Deserialize, Serialize};

use super::config::Form;
use super::form::said;
use crate::corpus::file::{Files, TextFile};
use crate::corpus::open::OpenProgress;
use crate::corpus::place::Split;
use crate::corpus::source::Cut;
use crate::corpus::{CorpusError, DataConfig};

/// The longest line that is read, bytes.
const LONGEST_LINE: u64 = 16 << 20;

/// So many wrong lines are named; the others are counted.
const NAMED: usize = 5;

/// Files of conversations: every line was read once, so that it is known how many there are.
#[derive(Debug)]
pub struct Conversations {
    files: Vec<TextFile>,
    form: Option<Form>,
    pairs: bool,
    cut: Cut,
    /// Those that are right.
    count: u64,
    wrong: WrongLines,
}

/// A conversation of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    /// Where it stands, in words.
    pub place: String,
    /// Which split it belongs to.
    pub split: Split,
    /// What is said.
    pub messages: Vec<Message>,
    /// Of a preference: the same with the answer that is not preferred.
    pub rejected: Option<Vec<Message>>,
    /// Bytes of all files up to its end.
    pub read: u64,
}

/// Lines that are no conversation that could be learned from, among all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrongLines {
    /// How many there are.
    pub count: u64,
    /// How many lines there are in all, blank ones not counted.
    pub lines: u64,
    /// The first of them, with their places and what is wrong.
    pub first: Vec<String>,
}

impl WrongLines {
    /// Counts a wrong line.
    pub fn add(&mut self, words: String) {
        self.count += 1;
        if self.first.len() < NAMED {
            self.first.push(words);
        }
    }

    /// Makes sure that no more than this share of the lines is wrong.
    ///
    /// # Errors
    /// When more are.
    pub fn check(&self, share: f64) -> Result<(), CorpusError> {
        if self.count as f64 <= share * self.lines as f64 {
            return Ok(());
        }
        Err(CorpusError::WrongLines { wrong: self.clone(), share })
    }
}

impl DataConfig {
    /// Finds the files of conversations and reads them once; nothing where the text is none.
    ///
    /// # Errors
    /// Files that are missing or cannot be read, too many wrong lines, and a split without a conversation.
    pub fn open_conversations(
        &self,
        report: &mut dyn FnMut(OpenProgress),
    ) -> Result<Option<Conversations>, CorpusError> {
        let Some(config) = &self.conversations else { return Ok(None) };
        let found = Files::find(self)?;
        let cut = match (self.every(), &self.validation_files) {
            (Some(every), _) => Cut::Every(every),
            (None, Some(_)) => Cut::Files(found.training),
            (None, None) => Cut::Fraction(self.validation_fraction),
        };
        let (files, form, wrong) = (found.all, config.form, WrongLines::default());
        let total = files.iter().map(|file| file.bytes).sum();
        let mut conversations = Conversations { files, form, pairs: config.pairs, cut, count: 0, wrong };
        let (mut count, mut wrong) = (0, WrongLines::default());
        for line in conversations.lines() {
            let line = line?;
            wrong.lines += 1;
            match line.messages {
                Ok(_) => count += 1,
                Err(problem) => wrong.add(format!("{}: {problem}", line.place)),
            }
            report(OpenProgress::Counting { done: line.read, total });
        }
        if wrong.lines == 0 {
            return Err(CorpusError::NoLine { path: conversations.files.first().map(|file| file.path.clone()) });
        }
        wrong.check(config.wrong_lines)?;
        (conversations.count, conversations.wrong) = (count, wrong);
        Ok(Some(conversations))
    }
}

impl Conversations {
    /// How many there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The lines that are none.
    pub fn wrong(&self) -> &WrongLines {
        &self.wrong
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// All that are right, in the order of the files.
    pub fn read(&self) -> impl Iterator<Item = Result<Conversation, CorpusError>> + '_ {
        let mut number = 0;
        self.lines().filter_map(move |line| {
            let Line { file, place, messages, read } = match line {
                Ok(line) => line,
                Err(error) => return Some(Err(error)),
            };
            let [messages, rejected] = messages.ok()?;
            number += 1;
            let (split, messages) = (self.split(number, file), messages.unwrap_or_default());
            Some(Ok(Conversation { place, split, messages, rejected, read }))
        })
    }

    /// Which split the conversation of this number belongs to, counted from 1.
    fn split(&self, number: u64, file: usize) -> Split {
        let is_trained = match self.cut {
            Cut::Every(every) => return every.split(number),
            Cut::Files(first) => file < first,
            Cut::Fraction(fraction) => number <= (self.count as f64 * (1.0 - fraction)) as u64,
        };
        if is_trained { Split::Train } else { Split::Validation }
    }

    /// Why a split is empty.
    pub fn empty_split(&self, split: Split) -> CorpusError {
        let why = match self.cut {
            Cut::Fraction(fraction) => {
                format!("of conversations there are {}, and `data.validation-fraction` is {fraction}", self.count)
            }
            Cut::Every(_) => format!("`data.validation` leaves none of {} conversations for it", self.count),
            Cut::Files(_) => "no conversation is in the files that are named for it alone".to_owned(),
        };
        CorpusError::EmptySplit { split, why }
    }

    fn lines(&self) -> Lines<'_> {
        let (files, form, pairs) = (&self.files, self.form, self.pairs);
        Lines { files, form, pairs, next_file: 0, reader: None, line: 0, read: 0 }
    }
}

/// A line that isn't blank.
struct Line {
    file: usize,
    place: String,
    messages: Result<[Option<Vec<Message>>; 2], String>,
    read: u64,
}

/// The lines of all files.
struct Lines<'a> {
    files: &'a [TextFile],
    form: Option<Form>,
    pairs: bool,
    next_file: usize,
    reader: Option<BufReader<File>>,
    /// Lines read of the file.
    line: u64,
    /// Bytes read of all files.
    read: u64,
}

impl Lines<'_> {
    fn next_line(&mut self) -> Result<Option<Line>, CorpusError> {
        loop {
            let Some(reader) = &mut self.reader else {
                if !self.open_next()? {
                    return Ok(None);
                }
                continue;
            };
            let path = &self.files[self.next_file - 1].path;
            let failed = |source| CorpusError::Read { path: path.clone(), source };
            let mut bytes = Vec::new();
            let read = reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut bytes).map_err(failed)? as u64;
            if read == 0 {
                self.reader = None;
                continue;
            }
            self.line += 1;
            let is_whole = read < LONGEST_LINE || bytes.ends_with(b"\n");
            let rest = if is_whole { 0 } else { skip_line(reader).map_err(failed)? };
            self.read += read + rest;
            let parsed = if is_whole { parsed(&bytes) } else { Err(format!("it is longer than {LONGEST_LINE} bytes")) };
            let messages = match parsed {
                Ok(None) => continue,
                Ok(Some(value)) => said(&value, self.form, self.pairs),
                Err(problem) => Err(problem),
            };
            let place = format!("{}, line {}", path.display(), self.line);
            return Ok(Some(Line { file: self.next_file - 1, place, messages, read: self.read }));
        }
    }

    /// Opens the next file; false if there is none.
    fn open_next(&mut self) -> Result<bool, CorpusError> {
        let Some(file) = self.files.get(self.next_file) else { return Ok(false) };
        if TextFile::new(&file.path)? != *file {
            return Err(CorpusError::Changed { path: file.path.clone() });
        }
        let opened = File::open(&file.path);
        let opened = opened.map_err(|source| CorpusError::Read { path: file.path.clone(), source })?;
        (self.reader, self.line) = (Some(BufReader::with_capacity(256 << 10, opened)), 0);
        self.next_file += 1;
        Ok(true)
    }
}

impl Iterator for Lines<'_> {
    type Item = Result<Line, CorpusError>;

    fn next(&mut self) -> Option<Self::Item> {
        let line = self.next_line();
        if line.is_err() {
            (self.reader, self.next_file) = (None, self.files.len());
        }
        line.transpose()
    }
}

/// Reads to the end of a line and says how many bytes that were.
fn skip_line(reader: &mut impl BufRead) -> std::io::Result<u64> {
    let mut skipped = 0;
    loop {
        let buffer = reader.fill_buf()?;
        let end = buffer.iter().position(|byte| *byte == b'\n').map(|end| end + 1);
        let used = end.unwrap_or(buffer.len());
        reader.consume(used);
        skipped += used as u64;
        if end.is_some() || used == 0 {
            return Ok(skipped);
        }
    }
}

/// The JSON of a line; nothing where it is blank.
fn parsed(bytes: &[u8]) -> Result<Option<serde_json::Value>, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| format!("byte {} is not UTF-8", error.valid_up_to() + 1))?;
    let text = text.trim_start_matches('\u{FEFF}').trim();
    if text.is_empty() {
        return Ok(None);
    }
    serde_json::from_str(text).map(Some).map_err(|error| {
        let words = error.to_string();
        let place = format!(" at line {} column {}", error.line(), error.column());
        let words = words.strip_suffix(&place).unwrap_or(&words);
        let list = if text.starts_with('[') { "; a list has to be one object a line" } else { "" };
        format!("no JSON: {words} (column {}){list}", error.column())
    })
}

/// What files of conversations are called in messages.
pub(in crate::corpus) fn words(path: Option<&PathBuf>) -> String {
    path.map_or_else(|| "no file".to_owned(), |path| path.display().to_string())
}
