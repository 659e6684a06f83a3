//! What can be wrong with a corpus.

use std::path::{Path, PathBuf};

use super::PairFileError;
use super::conversations::{self, WrongLines};
use super::mirror::MIRROR_VARIABLE;

/// An error of the text that a run wants to learn from.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CorpusError {
    /// A file that was named is not there.
    #[error("there is no file {path:?}{}", about_place(path, looked_in))]
    Missing {
        /// As it was named.
        path: String,
        /// The folders that it was looked for in.
        looked_in: Vec<PathBuf>,
    },
    /// A pattern matches no file.
    #[error("no file matches {pattern:?}{}{}", about_place(pattern, looked_in), about_brackets(pattern))]
    NoMatch {
        /// As it was given.
        pattern: String,
        /// The folders that it was looked for in.
        looked_in: Vec<PathBuf>,
    },
    /// A name that cannot be written in a configuration, where a pattern asks for it.
    #[error("the name {path:?} is not UTF-8; rename the file, or choose a pattern that leaves it out")]
    Unnameable {
        /// The file.
        path: PathBuf,
    },
    /// What was named is a folder, a device or a pipe.
    #[error("{} is not a plain file; name a text file{}", path.display(), about_folder(path))]
    NotAFile {
        /// What was named.
        path: PathBuf,
    },
    /// The system cannot read a file.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file is not UTF-8.
    #[error("{} is not UTF-8: the first wrong byte is at offset {offset}; convert it, for example with `iconv -t \
             UTF-8`", path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// Where the first byte stands that no UTF-8 text can have there.
        offset: u64,
    },
    /// No character in the whole corpus.
    #[error("the corpus is empty: {what} holds no text")]
    Empty {
        /// What was read.
        what: String,
    },
    /// One of the two splits would hold no character.
    #[error("the {split} split would be empty: {why}")]
    EmptySplit {
        /// Which one.
        split: super::place::Split,
        /// What of the text and the settings makes it so.
        why: String,
    },
    /// Files of conversations without a line.
    #[error("{} holds no line, and a conversation is a line", conversations::words(path.as_ref()))]
    NoLine {
        /// The first file.
        path: Option<PathBuf>,
    },
    /// Too many lines are no conversations.
    #[error("{}", wrong_lines(wrong, *share))]
    WrongLines {
        /// Those that are none.
        wrong: WrongLines,
        /// The share that may be.
        share: f64,
    },
    /// A file is not what it was a moment ago.
    #[error("{} changed while it was being read; start again", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// Files of pairs that hold something else.
    #[error(transparent)]
    Pairs(#[from] PairFileError),
    /// The file could not be fetched.
    #[error(transparent)]
    Download(#[from] DownloadError),
}

/// What can go wrong with a download.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DownloadError {
    /// The other side could not be reached, or said nothing sensible.
    #[error("cannot download {url}: {reason}; {}", by_hand(name))]
    Unreachable {
        /// The address.
        url: String,
        /// What failed.
        reason: String,
        /// Name of the file.
        name: String,
    },
    /// The other side refused.
    #[error("cannot download {url}: the server answered {status}; {}", by_hand(name))]
    Status {
        /// The address.
        url: String,
        /// The HTTP status.
        status: u16,
        /// Name of the file.
        name: String,
    },
    /// The connection broke again and again.
    #[error(
        "the download of {url} broke off after {received} bytes ({reason}); run the same command again, which \
         continues from there"
    )]
    Interrupted {
        /// The address.
        url: String,
        /// Bytes there now.
        received: u64,
        /// What failed.
        reason: String,
    },
    /// What arrived is not what was asked for.
    #[error(
        "{place} is not the file that the configuration asks for: its SHA-256 is {found}, and `data.download.sha256` \
         says {expected}"
    )]
    WrongHash {
        /// The address or the file on a mirror.
        place: String,
        /// As configured.
        expected: String,
        /// As computed.
        found: String,
    },
    /// The cache folder cannot be written, or a local file not be read.
    #[error("cannot use {}: {source}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The mirror that the environment names is not there.
    #[error("{reason}; unset {MIRROR_VARIABLE}, or name a file, a folder or an address")]
    Mirror {
        /// What is wrong.
        reason: String,
    },
}

/// Where a relative path was looked for; an absolute one leads to one place alone.
fn about_place(path: &str, looked_in: &[PathBuf]) -> String {
    if Path::new(path).is_absolute() {
        return String::new();
    }
    let mut places: Vec<String> = looked_in.iter().map(|folder| folder.display().to_string()).collect();
    places.dedup();
    let first = if places.len() > 1 { "beside the configuration, in " } else { "in " };
    format!("; it was looked for {first}{}", places.join(", and in the current folder, "))
}

/// How many lines are wrong, and the first of them.
fn wrong_lines(WrongLines { count, lines, first }: &WrongLines, share: f64) -> String {
    let are = if *count == 1 { "is no conversation" } else { "are no conversations" };
    let mut words = format!(
        "{count} of {lines} lines {are} to learn from, and `data.conversations.wrong-lines` allows a share of {share}:"
    );
    first.iter().for_each(|line| words.push_str(&format!("\n  {line}")));
    if *count > first.len() as u64 {
        words.push_str(&format!("\n  and {} more", count - first.len() as u64));
    }
    words
}

/// The pattern for all texts of a folder.
fn about_folder(path: &Path) -> String {
    if !path.is_dir() {
        return String::new();
    }
    let literal = glob::Pattern::escape(&path.to_string_lossy());
    format!(", or a pattern such as {:?}", Path::new(&literal).join("*.txt"))
}

/// A folder may have brackets in its name, which in a pattern stand for one of several characters.
fn about_brackets(pattern: &str) -> String {
    if !pattern.contains('[') {
        return String::new();
    }
    let literal = pattern.replace('[', "[[]");
    format!("; `[...]` stands for one of the characters in it, and a `[` of a name is written `[[]`: {literal:?}")
}

fn by_hand(name: &str) -> String {
    format!("get the file {name} by other means and set {MIRROR_VARIABLE} to the folder that holds it")
}
