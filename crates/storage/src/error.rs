//! What can be wrong with stored files.

use std::io;
use std::path::{Path, PathBuf};

use crate::formats::TensorFileError;
use crate::formats::gguf::GgufError;

/// Why a file or a checkpoint could not be written, found or read. The message says what, where and why.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The system refused: no space, no permission, no such file.
    #[error("cannot {action} `{path}`: {source}")]
    Io {
        /// What was attempted, as a verb: "read", "create folder".
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file that must be a regular file is a link, a folder or a device.
    #[error("`{path}` is not a regular file")]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// Nothing is at the path.
    #[error("there is no `{path}`")]
    NotThere {
        /// The path that was given.
        path: PathBuf,
    },
    /// A link is at the path, and nothing where it leads.
    #[error("`{path}` is a link that leads to nothing, or round in a circle")]
    BrokenLink {
        /// The path that was given.
        path: PathBuf,
    },
    /// The path holds neither `checkpoints` nor `manifest.json`.
    #[error("`{path}` is neither a run folder (no `checkpoints` in it) nor a checkpoint (no `manifest.json` in it)")]
    NotARun {
        /// The path that was given.
        path: PathBuf,
    },
    /// The run exists and has no whole checkpoint.
    #[error("the run `{run}` has no whole checkpoint")]
    NoCheckpoint {
        /// The run folder.
        run: PathBuf,
    },
    /// The run has checkpoints, and the wanted step is not among them.
    #[error("the run `{run}` has no checkpoint of step {step}; it has {}", list(available))]
    NoSuchStep {
        /// The run folder.
        run: PathBuf,
        /// The step that was asked for.
        step: u64,
        /// The steps that are there.
        available: Vec<u64>,
    },
    /// `manifest.json` is missing, unreadable or does not fit the files.
    #[error("the checkpoint `{folder}` is damaged: {problem}")]
    Damaged {
        /// The checkpoint folder.
        folder: PathBuf,
        /// Which file, and what is wrong with it.
        problem: String,
        /// Another checkpoint of the same run that is whole, if there is one.
        other: Option<u64>,
    },
    /// A newer Kiln wrote this.
    #[error("`{path}` has format {found}, and this Kiln reads format {known}")]
    Newer {
        /// The file.
        path: PathBuf,
        /// The format that it declares.
        found: u64,
        /// The newest format that this program reads.
        known: u64,
    },
    /// A tensor file that isn't one, or tensors that cannot be written as one.
    #[error("`{path}`: {source}")]
    TensorFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: TensorFileError,
    },
    /// A GGUF file that isn't one, or tensors that cannot be written as one.
    #[error("`{path}`: {source}")]
    Gguf {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: GgufError,
    },
}

impl StorageError {
    /// Nothing can be read at a path, for want of it or of what a link there leads to.
    pub fn not_there(path: &Path) -> Self {
        let path = path.to_path_buf();
        if path.is_symlink() { Self::BrokenLink { path } } else { Self::NotThere { path } }
    }

    /// Adapter for `map_err`: an error of the system, while doing `action` at `path`.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { action, path, source }
    }

    /// An error of a tensor file with its path: the system's own words, or what is wrong with the file.
    pub fn tensors(error: TensorFileError, path: &Path, action: &'static str) -> Self {
        match error {
            TensorFileError::Io(source) => Self::Io { action, path: path.to_path_buf(), source },
            source => Self::TensorFile { path: path.to_path_buf(), source },
        }
    }

    /// An error of a GGUF file with its path, as [`StorageError::tensors`].
    pub fn gguf(error: GgufError, path: &Path, action: &'static str) -> Self {
        match error {
            GgufError::Io(source) => Self::Io { action, path: path.to_path_buf(), source },
            GgufError::Source(source) => Self::tensors(source, path, action),
            source => Self::Gguf { path: path.to_path_buf(), source },
        }
    }

    /// A damaged checkpoint, without advice which other one to take.
    pub(crate) fn damaged(folder: &Path, problem: impl Into<String>) -> Self {
        Self::Damaged { folder: folder.to_path_buf(), problem: problem.into(), other: None }
    }
}

/// Up to eight steps in words.
fn list(steps: &[u64]) -> String {
    const SHOWN: usize = 8;
    if steps.is_empty() {
        return "none".into();
    }
    let newest = steps.len().saturating_sub(SHOWN);
    let words: Vec<String> = steps[newest..].iter().map(u64::to_string).collect();
    let left_out = if newest > 0 { format!(" and {newest} older ones") } else { String::new() };
    format!("{}{left_out}", words.join(", "))
}
