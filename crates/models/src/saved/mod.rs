//! What a saved model is: weights that say what they are, a manifest over all files of a checkpoint, and the folder of
//! a run. Training writes it and inference reads it, so it lives below both.

mod atomic;
mod description;
mod error;
mod folder;
mod header;
mod inspection;
mod manifest;
mod open;
mod state;
mod tensors;
#[cfg(test)]
mod tests;
mod weights;

pub use atomic::{remove_folder_atomically, write_file_atomically, write_folder_atomically};
pub use description::ModelDescription;
pub use error::SavedModelError;
pub use folder::{
    CheckpointEntry, FoundCheckpoint, Which, best_step, checkpoint_folder, clean_run, find_checkpoint,
    list_checkpoints, name_best, newest_checkpoint, newest_whole, steps,
};
pub use inspection::{CheckpointContents, FileReport, TensorReport, inspect_checkpoint, list_leftovers};
pub use manifest::{MANIFEST_FILE, Manifest, ManifestFile};
pub use open::{HostModel, SavedModel, TOKENIZER_FILE, WEIGHTS_FILE, load_weights, read_description};
pub use state::{StateProblem, state_from_tensors, state_tensors};
pub use tensors::{
    TensorFile, TensorFileError, read_safetensors, tensors_from_safetensors, tensors_to_safetensors, write_safetensors,
};
pub use weights::{NamedParameter, WeightProblem, apply_tensors, collect_tensors, named_parameters};
