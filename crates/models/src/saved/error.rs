//! What can be wrong with a saved model, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use super::tensors::TensorFileError;
use super::weights::WeightProblem;

/// Why a checkpoint could not be written, found or opened.
///
/// The message says what, where and why; [`SavedModelError::help`] says what to do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SavedModelError {
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
        /// Another checkpoint of the same run that is whole, where there is one.
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
    /// A safetensors file that is none, or cannot be written as one.
    #[error("`{path}`: {source}")]
    TensorFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: TensorFileError,
    },
    /// The tensors do not fit the model, or hold a value that is not finite.
    #[error("`{path}` does not fit the model: {}", summary(problems))]
    Weights {
        /// The file.
        path: PathBuf,
        /// Every tensor that does not fit.
        problems: Vec<WeightProblem>,
    },
    /// The description of the model inside the weights is missing or makes no sense.
    #[error("`{path}` does not say which model it holds: {problem}")]
    Description {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The tokenizer beside the checkpoint is not the one that the model was trained with.
    #[error(
        "the tokenizer `{tokenizer}` ({found_size} tokens, hash {found_hash}) is not the one that `{model}` was trained with ({expected_size} tokens, hash {expected_hash})"
    )]
    VocabularyMismatch {
        /// The tokenizer file.
        tokenizer: PathBuf,
        /// The checkpoint folder.
        model: PathBuf,
        /// Tokens in the tokenizer that was found.
        found_size: usize,
        /// Its hash, in hexadecimal.
        found_hash: String,
        /// Tokens that the model knows.
        expected_size: usize,
        /// The hash of the tokenizer that it was trained with.
        expected_hash: String,
    },
    /// `tokenizer.json` is missing or cannot be read.
    #[error("cannot use the tokenizer `{path}`: {problem}")]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// Why not.
        problem: String,
    },
    /// The device failed while the weights were read from it.
    #[error("cannot read the parameter `{parameter}` from its device: {problem}")]
    Device {
        /// The name of the parameter.
        parameter: String,
        /// What the device said.
        problem: String,
    },
}

impl SavedModelError {
    /// What to do about it, where that can be said.
    pub fn help(&self) -> Option<String> {
        let help = match self {
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    "free some space, or lower `run.keep`; what was saved before is untouched".into()
                }
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    "choose a place you may write to with `--run`, or change the permissions".into()
                }
                _ => return None,
            },
            Self::NotThere { .. } | Self::NotARun { .. } => {
                "give the folder that `kiln train` made, for example `runs/NAME`".into()
            }
            Self::NoCheckpoint { run } => format!(
                "training saves every `run.checkpoint-every` steps and when it stops; train first, or list `{}`",
                run.join("checkpoints").display()
            ),
            Self::NoSuchStep { available, .. } => match available.last() {
                Some(step) => format!("give one of these, for example `--checkpoint {step}`"),
                None => return None,
            },
            Self::Damaged { other: Some(step), .. } => {
                format!("the checkpoint of step {step} of the same run is whole: `--checkpoint {step}`")
            }
            Self::Damaged { other: None, .. } => "restore the folder from a copy; nothing was loaded from it".into(),
            Self::Newer { .. } => "use the Kiln that wrote it, or a later one".into(),
            Self::TensorFile { .. } => {
                "the file was cut, changed, or is no safetensors file; restore it from a copy".into()
            }
            Self::Weights { problems, .. } if problems.iter().any(WeightProblem::is_not_finite) => {
                "the training diverged; go on from an earlier checkpoint with a lower rate".into()
            }
            Self::Weights { .. } | Self::Description { .. } => {
                "give a checkpoint that `kiln train` wrote, as it was written".into()
            }
            Self::VocabularyMismatch { .. } => {
                "put back the `tokenizer.json` of the run that the checkpoint comes from".into()
            }
            Self::Tokenizer { .. } => "restore the run's `tokenizer.json`; without it tokens have no text".into(),
            Self::NotAFile { .. } => "put the file itself there, not a link to it".into(),
            Self::Device { .. } => return None,
        };
        Some(help)
    }

    /// Adapter for `map_err`: an error of the system, while doing `action` at `path`.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { action, path, source }
    }

    /// A damaged checkpoint, without advice which other one to take.
    pub(super) fn damaged(folder: &Path, problem: impl Into<String>) -> Self {
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

/// The first problems in words, and how many more there are.
fn summary(problems: &[WeightProblem]) -> String {
    const SHOWN: usize = 3;
    let mut words: Vec<String> = problems.iter().take(SHOWN).map(ToString::to_string).collect();
    if problems.len() > SHOWN {
        words.push(format!("and {} more", problems.len() - SHOWN));
    }
    words.join("; ")
}
