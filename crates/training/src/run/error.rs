//! What can be wrong with a run.

use std::path::{Path, PathBuf};

use kiln_models::saved::{SavedModelError, StateProblem};
use kiln_storage::StorageError;

/// What can be wrong with a run folder.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// There is a run of that name, which was not to be resumed.
    #[error("the run `{}` exists already", path.display())]
    Exists {
        /// The run folder.
        path: PathBuf,
    },
    /// Another process trains there.
    #[error("the run `{}` is being trained by another process{}", path.display(), id_of(owner))]
    Locked {
        /// The run folder.
        path: PathBuf,
        /// The other process.
        owner: Option<u32>,
    },
    /// The file `best` names no whole checkpoint.
    #[error("the run `{}` has no best checkpoint: `best` names none that is whole", path.display())]
    NoBest {
        /// The run folder.
        path: PathBuf,
    },
    /// A folder that is to be removed and holds something that Kiln did not put there.
    #[error("`{}` doesn't belong to a run, so `{}` is not removed", inside.display(), path.display())]
    NotOurs {
        /// The folder that was to be removed.
        path: PathBuf,
        /// What else is in it.
        inside: PathBuf,
    },
    /// A checkpoint, one of the small files beside it, or the folder itself.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// What can be wrong with a checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The files of the model, the manifest, or the tensors.
    #[error(transparent)]
    Saved(#[from] SavedModelError),
    /// The folder around it.
    #[error(transparent)]
    Folder(Box<FolderError>),
    /// The checkpoint was reduced to its weights.
    #[error("`{}` has only weights, without the state of the optimizer, so training cannot resume from it",
            folder.display())]
    WeightsOnly {
        /// The checkpoint folder.
        folder: PathBuf,
    },
    /// `training.json` is not what this program writes.
    #[error("`{}` is damaged: {message}", path.display())]
    LoopState {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// The saved recurrent state does not fit the model.
    #[error("the saved recurrent state does not fit the model: {0}")]
    State(#[source] StateProblem),
}

impl From<StorageError> for CheckpointError {
    fn from(error: StorageError) -> Self {
        Self::Saved(error.into())
    }
}

impl From<FolderError> for CheckpointError {
    fn from(error: FolderError) -> Self {
        match error {
            FolderError::Storage(error) => error.into(),
            other => Self::Folder(Box::new(other)),
        }
    }
}

/// An error of the system, while doing something at `path`.
pub(super) fn io(path: &Path, action: &'static str, source: std::io::Error) -> FolderError {
    StorageError::io(action, path)(source).into()
}

/// The number of the other process, as far as it is known.
fn id_of(owner: &Option<u32>) -> String {
    owner.map_or_else(String::new, |id| format!(" (id {id})"))
}
