//! What a text is like.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use kiln_data::corpus::{Corpus, CorpusError, DataConfig, FileConfig, LocalFile, Piece, Split};
use kiln_settings::files::{Links, open_regular};
use kiln_training::misleading::MANY_DOCUMENTS;

/// The fewest characters that are trained on: of fewer, the tenth that validates says nothing.
const LEAST_CHARACTERS: u64 = 5_000;

/// The text between documents that many collections have.
const SEPARATOR: &str = "<|endoftext|>";

/// Why a text cannot be trained on, beyond what [`CorpusError`] knows.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadText {
    /// A byte that no text has.
    #[error("{} is not text: it has a zero byte at offset {offset}; give a plain UTF-8 text file", path.display())]
    Binary {
        /// The file.
        path: PathBuf,
        /// The first zero byte.
        offset: usize,
    },
    /// There is too little of it.
    #[error(
        "the text has {characters} characters, and at least {LEAST_CHARACTERS} are needed: nine tenths are trained \
         on, and the rest must show what was learned; add more files with `kiln new NAME --text FILE FILE...`"
    )]
    Short {
        /// Characters in all.
        characters: u64,
    },
}

/// A text that was read once.
#[derive(Debug)]
pub(super) struct Text {
    /// `[data]` for it.
    pub(super) data: DataConfig,
    pub(super) characters: u64,
    pub(super) bytes: u64,
    pub(super) lines: u64,
    /// Different characters.
    pub(super) alphabet: usize,
    /// What samples can begin with: the text's own first words, and a new line if it has any.
    pub(super) prompts: Vec<String>,
}

impl Text {
    /// Reads the files, which makes sure that they are text, and enough of it.
    pub(super) fn read(paths: &[String]) -> anyhow::Result<Self> {
        let file = Some(FileConfig { paths: paths.to_vec() });
        let mut data = DataConfig { file, ..DataConfig::default() };
        let files = data.local_files(Path::new(""))?.unwrap_or_default();
        files.iter().try_for_each(refuse_binary)?;
        let corpus = open(&data)?;
        let seen = Seen::of(&corpus)?;
        if seen.separators > 1 || files.len() > 1 {
            data.separator = Some(if seen.separators > 1 { SEPARATOR.to_owned() } else { String::new() });
        }
        let documents = open(&data)?.documents();
        if documents >= MANY_DOCUMENTS {
            data.validation = Some("every 10th document".to_owned());
        }
        if corpus.characters() < LEAST_CHARACTERS {
            return Err(BadText::Short { characters: corpus.characters() }.into());
        }
        let new_line = (seen.lines > 1).then(|| "\n".to_owned());
        Ok(Self {
            data,
            characters: corpus.characters(),
            bytes: corpus.bytes(),
            lines: seen.lines,
            alphabet: seen.alphabet.len(),
            prompts: first_words(&seen.beginning).into_iter().chain(new_line).collect(),
        })
    }

    /// What stands for a text that has yet to be named: a megabyte.
    pub(super) fn to_be_named() -> Self {
        let file = Some(FileConfig { paths: vec!["text.txt".to_owned()] });
        let data = DataConfig { file, ..DataConfig::default() };
        let prompts = vec!["\n".to_owned()];
        Self { data, characters: 1_000_000, bytes: 1_000_000, lines: 2, alphabet: 100, prompts }
    }
}

fn open(data: &DataConfig) -> Result<Corpus, CorpusError> {
    data.open(Path::new(""), &mut |_| ())
}

/// A zero byte near the start of a file is what tells programs, pictures and archives from text.
fn refuse_binary(file: &LocalFile) -> anyhow::Result<()> {
    let mut beginning = Vec::new();
    if let Some(opened) = open_regular(&file.path, Links::Followed)? {
        opened.take(8 << 10).read_to_end(&mut beginning)?;
    }
    match beginning.iter().position(|byte| *byte == 0) {
        Some(offset) => Err(BadText::Binary { path: file.path.clone(), offset }.into()),
        None => Ok(()),
    }
}

/// What one pass over a text sees.
#[derive(Default)]
struct Seen {
    alphabet: BTreeSet<char>,
    lines: u64,
    separators: u64,
    beginning: String,
}

impl Seen {
    fn of(corpus: &Corpus) -> Result<Self, CorpusError> {
        let mut seen = Self { lines: 1, ..Self::default() };
        for split in [Split::Train, Split::Validation] {
            for piece in corpus.pieces(split) {
                let Piece::Text { text, .. } = piece? else { continue };
                seen.alphabet.extend(text.chars());
                seen.lines += text.trim_end().matches('\n').count() as u64;
                seen.separators += text.matches(SEPARATOR).count() as u64;
                if seen.beginning.is_empty() {
                    seen.beginning = text.trim_start().chars().take(200).collect();
                }
            }
        }
        Ok(seen)
    }
}

/// The first words of a text, three or as many as its first line has, with what stands between them there: another
/// space might be no character of the text.
fn first_words(beginning: &str) -> Option<String> {
    let line = beginning.lines().next()?.trim();
    let starts_word = |(before, after): (char, char)| before.is_whitespace() && !after.is_whitespace();
    let words = line.chars().zip(line.chars().skip(1)).scan(0, |words, pair| {
        *words += usize::from(starts_word(pair));
        (*words < 3 && !pair.1.is_control()).then_some(pair.1)
    });
    let words: String = line.chars().take(1).chain(words).take(40).collect();
    let words = words.trim_end().to_owned();
    (!words.is_empty()).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_is_the_first_words_of_the_first_line() {
        assert_eq!(first_words("Call me Ishmael. Some years ago"), Some("Call me Ishmael.".into()));
        assert_eq!(first_words("First Citizen:\nBefore we proceed"), Some("First Citizen:".into()));
        assert_eq!(first_words("吾輩は\u{3000}猫で  ある 。"), Some("吾輩は\u{3000}猫で  ある".into()));
        assert_eq!(first_words("two words \n"), Some("two words".into()));
        assert_eq!(first_words("a\tb c"), Some("a".into()));
        assert_eq!(first_words(""), None);
        assert_eq!(first_words(&"x".repeat(100)), Some("x".repeat(40)));
    }
}
