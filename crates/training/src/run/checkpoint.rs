//! What a checkpoint holds beside the weights: all that the loop needs to go on as if it had not stopped.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::TensorData;
use kiln_models::saved::{
    DiskFiles, Files, FoundCheckpoint, SavedModelError, StagedFolder, StateProblem, read_safetensors, read_small,
};
use serde::{Deserialize, Serialize};

use super::faults::Faults;
use super::folder::FolderError;
use crate::gradient_measurements::NoiseAverages;
use kiln_optimization::averaging::AveragingState;

pub(super) const LOOP_STATE: &str = "training.json";
const OPTIMIZER: &str = "optimizer.safetensors";
const CARRIED: &str = "recurrent-state.safetensors";
/// The weights that training goes on from, where `model.safetensors` holds an average.
pub(crate) const TRAINING_WEIGHTS: &str = "training-weights.safetensors";
/// Where the loop is takes some hundred bytes, and each return to an earlier checkpoint as many.
const LONGEST_STATE: u64 = 16 << 20;

/// Where the loop is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoopState {
    /// Steps made, skipped ones included. The position in the data follows from it and from the batches passed over.
    pub step: u64,
    /// Tokens trained on.
    pub tokens: u64,
    /// The lowest validation loss so far.
    pub best: Option<Best>,
    /// How many evaluations in a row were no better than the best one before them.
    #[serde(default)]
    pub worse_evaluations: u64,
    /// After how many updates the last evaluation was made. A stop may come before one that is due; it is then made up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluated: Option<u64>,
    /// The state of the learning-rate schedule.
    pub schedule: ScheduleEntry,
    /// The state of the average of the weights, where one is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub averaging: Option<AveragingState>,
    /// The running means of the gradient's noise, once it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise: Option<NoiseAverages>,
    /// What losses and gradients that were not finite did to the run.
    #[serde(default, skip_serializing_if = "Faults::is_empty")]
    pub faults: Faults,
}

impl LoopState {
    /// The state in the folder of a checkpoint.
    ///
    /// # Errors
    /// When the file cannot be read, or is none that this program writes.
    pub fn read(folder: &Path) -> Result<Self, CheckpointError> {
        Self::read_in(&DiskFiles, folder)
    }

    /// The same in another file system than the disk.
    pub(super) fn read_in(files: &dyn Files, folder: &Path) -> Result<Self, CheckpointError> {
        let bytes = read_small(files, &folder.join(LOOP_STATE), LONGEST_STATE)?;
        serde_json::from_slice(&bytes)
            .map_err(|error| CheckpointError::LoopState { path: folder.join(LOOP_STATE), message: error.to_string() })
    }

    /// Updates that were made and not skipped.
    pub fn updates(&self) -> u64 {
        self.step.saturating_sub(self.faults.skipped)
    }
}

/// The best evaluation of a run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Best {
    /// After how many updates.
    pub step: u64,
    /// The validation loss, nats per token.
    pub loss: f64,
}

/// The state of a schedule, which only the schedule understands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ScheduleEntry(pub serde_json::Value);

/// The state of training, beside the weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// Where the loop is.
    pub state: LoopState,
    /// The optimizer's state, by `parameter/slot`.
    pub optimizer: BTreeMap<String, TensorData>,
    /// The weights that training goes on from, by parameter, where they are not those of the saved model.
    pub training_weights: Option<BTreeMap<String, TensorData>>,
    /// The recurrent state after the last batch, where batches carry it.
    pub carried: Option<BTreeMap<String, TensorData>>,
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

impl Checkpoint {
    /// Writes the files into `folder`, which becomes a checkpoint when it is whole.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, folder: &mut StagedFolder<'_>) -> Result<(), CheckpointError> {
        let bytes = serde_json::to_vec_pretty(&self.state)
            .map_err(|error| CheckpointError::LoopState { path: LOOP_STATE.into(), message: error.to_string() })?;
        folder.write(LOOP_STATE, &bytes)?;
        folder.write_tensors(OPTIMIZER, &self.optimizer, &BTreeMap::new())?;
        for (name, tensors) in [(TRAINING_WEIGHTS, &self.training_weights), (CARRIED, &self.carried)] {
            if let Some(tensors) = tensors {
                folder.write_tensors(name, tensors, &BTreeMap::new())?;
            }
        }
        Ok(())
    }

    /// Reads what [`Checkpoint::write`] wrote, from files that the verified manifest lists.
    ///
    /// # Errors
    /// When a file is missing or damaged.
    pub fn read(found: &FoundCheckpoint) -> Result<Self, CheckpointError> {
        found.file(LOOP_STATE)?;
        let state = LoopState::read(&found.folder)?;
        let optimizer = read_safetensors(&found.file(OPTIMIZER)?)?.tensors;
        let training_weights = read_where_listed(found, TRAINING_WEIGHTS)?;
        let carried = read_where_listed(found, CARRIED)?;
        Ok(Self { state, optimizer, training_weights, carried })
    }
}

type Tensors = BTreeMap<String, TensorData>;

fn read_where_listed(found: &FoundCheckpoint, name: &str) -> Result<Option<Tensors>, SavedModelError> {
    if found.manifest.lists(name) { Ok(Some(read_safetensors(&found.file(name)?)?.tensors)) } else { Ok(None) }
}
