//! What can be wrong with a corpus.

use std::path::PathBuf;

use super::DownloadError;

/// An error of the text that a run wants to learn from.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CorpusError {
    /// A file that was named is not there.
    #[error("there is no file {path:?} (looked in {}); paths are relative to the folder you are in", folder.display())]
    Missing {
        /// As it was named.
        path: String,
        /// The current folder.
        folder: PathBuf,
    },
    /// A pattern matches no file.
    #[error("no file matches {pattern:?} (looked in {}); paths are relative to the folder you are in", folder.display())]
    NoMatch {
        /// As it was given.
        pattern: String,
        /// The current folder.
        folder: PathBuf,
    },
    /// What was named is a folder, a device or a pipe.
    #[error("{} is not a plain file; name a text file, or a pattern such as \"{}/*.txt\"", path.display(), path.display())]
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
    #[error("{} is not UTF-8: the first wrong byte is at offset {offset}; convert it, for example with `iconv -t UTF-8`", path.display())]
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
    #[error(
        "the {split} split would be empty: the corpus has {characters} characters and `data.validation-fraction` is {fraction}"
    )]
    EmptySplit {
        /// Which one.
        split: super::Split,
        /// Characters in all.
        characters: u64,
        /// The fraction for validation.
        fraction: f64,
    },
    /// A file is not what it was a moment ago.
    #[error("{} changed while it was being read; start again", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The file could not be fetched.
    #[error(transparent)]
    Download(#[from] DownloadError),
}
