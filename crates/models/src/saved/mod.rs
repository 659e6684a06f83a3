//! What a saved model is: weights that say what they are, a manifest over all files of a checkpoint, and the folder of
//! a run. Training writes it and inference reads it, so it lives below both.

mod atomic;
mod description;
mod error;
mod files;
mod folder;
mod header;
mod inspection;
mod manifest;
mod open;
mod staged;
mod state;
mod tensors;
#[cfg(test)]
mod tests;
mod weights;

pub use atomic::{create_folder_durably, remove_folder_atomically, write_file_atomically, write_folder_atomically};
pub use description::ModelDescription;
pub use error::SavedModelError;
pub use files::{DiskFiles, Files, Kind, OpenFile, Writer};
pub use folder::{
    CHECKPOINTS, CheckpointEntry, FoundCheckpoint, Which, best_step, checkpoint_folder, clean_run, find_checkpoint,
    list_checkpoints, list_checkpoints_in, name_best, newest_checkpoint, newest_whole, steps,
};
pub use inspection::{CheckpointContents, FileReport, TensorReport, inspect_checkpoint, list_leftovers};
pub use manifest::{MANIFEST_FILE, Manifest, ManifestFile, read_small};
pub use open::{HostModel, SavedModel, TOKENIZER_FILE, WEIGHTS_FILE, load_weights, read_description};
pub use staged::StagedFolder;
pub use state::{StateProblem, state_from_tensors, state_tensors};
pub use tensors::{TensorFile, TensorFileError, read_safetensors, tensors_from_safetensors, tensors_to_safetensors};
pub use weights::{NamedParameter, WeightProblem, apply_tensors, check_finite, collect_tensors, named_parameters};
