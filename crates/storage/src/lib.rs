//! What is on disk: [tensor files](formats), files and folders that are seen whole or not at all, and the
//! [folder of a run](layout) with its checkpoints, each verified before anything in it counts.
//!
//! Nothing here knows what a model is: a checkpoint is a folder of files with a manifest, and tensors have names.
//!
//! ```
//! use kiln_storage::{DiskFiles, write_file_atomically};
//!
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("config.toml");
//! write_file_atomically(&DiskFiles, &path, b"seed = 1")?;
//! // A reader sees the old file or the new one, whatever happens in between.
//! write_file_atomically(&DiskFiles, &path, b"seed = 2")?;
//! assert_eq!(std::fs::read(&path)?, b"seed = 2");
//! assert_eq!(std::fs::read_dir(folder.path())?.count(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod atomic;
mod checkpoints;
mod error;
mod files;
pub mod formats;
mod hashed;
mod inspection;
pub mod layout;
mod manifest;
mod reader;
mod staged;
pub mod testing;
#[cfg(test)]
mod tests;
mod thinning;
mod verified;

pub use atomic::{create_folder_durably, remove_folder_atomically, write_file_atomically, write_folder_atomically};
pub use checkpoints::{
    CheckpointEntry, FoundCheckpoint, Which, best_step, clean_run, find_checkpoint, is_there, list_checkpoints,
    name_best, newest_whole, open_checkpoint, open_newest_whole, steps, steps_in,
};
pub use error::StorageError;
pub use files::{DiskFiles, Files, Kind, OpenFile, ReadFile, Writer};
pub use formats::{TensorFileError, TensorSource};
pub use hashed::HashedFile;
pub use inspection::{CheckpointContents, FileReport, TensorReport, inspect_checkpoint, list_leftovers};
pub use layout::checkpoint_folder;
pub use manifest::{Manifest, ManifestFile, read_small};
pub use reader::{CheckpointReader, open_gguf, open_tensors, read_safetensors, verify_checkpoint};
pub use staged::StagedFolder;
pub use thinning::drop_files;
pub use verified::VerifiedSteps;
