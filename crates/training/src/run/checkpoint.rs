//! What a checkpoint holds beside the weights: all that the loop needs to resume as if it had not stopped.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::TensorData;
use kiln_optimization::averaging::AveragingState;
use kiln_storage::layout::{CARRIED_STATE_FILE, OPTIMIZER_FILE, TRAINING_STATE_FILE, TRAINING_WEIGHTS_FILE};
use kiln_storage::{CheckpointReader, DiskFiles, Files, StagedFolder, StorageError, read_small};
use serde::{Deserialize, Serialize};

use super::error::CheckpointError;
use super::faults::Faults;
use super::spikes::SpikeWatch;
use crate::config::RunConfig;
use crate::gradient_measurements::NoiseAverages;

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
    /// The state of the average of the weights, if one is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub averaging: Option<AveragingState>,
    /// The running means of the gradient's noise, once it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise: Option<NoiseAverages>,
    /// What is usual of the losses and the gradient norms, to tell spikes.
    #[serde(default)]
    pub spikes: SpikeWatch,
    /// What losses and gradients that were not finite did to the run.
    #[serde(default, skip_serializing_if = "Faults::is_empty")]
    pub faults: Faults,
}

impl LoopState {
    /// The state in the folder of a checkpoint.
    ///
    /// # Errors
    /// When the file cannot be read, or isn't one that this program writes.
    pub fn read(folder: &Path) -> Result<Self, CheckpointError> {
        Self::read_in(&DiskFiles, folder)
    }

    /// The same in another file system than the disk.
    pub(super) fn read_in(files: &dyn Files, folder: &Path) -> Result<Self, CheckpointError> {
        Self::parse(&read_small(files, &folder.join(TRAINING_STATE_FILE), LONGEST_STATE)?, folder)
    }

    fn parse(bytes: &[u8], folder: &Path) -> Result<Self, CheckpointError> {
        let path = folder.join(TRAINING_STATE_FILE);
        serde_json::from_slice(bytes).map_err(|error| CheckpointError::LoopState { path, message: error.to_string() })
    }

    /// Whether a run of these settings has nothing left to do.
    pub fn is_done(&self, run: &RunConfig) -> bool {
        self.step >= run.steps || self.is_out_of_patience(run)
    }

    /// Whether too many evaluations in a row were no better than the best.
    pub fn is_out_of_patience(&self, run: &RunConfig) -> bool {
        run.patience.is_some_and(|patience| self.worse_evaluations >= patience)
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
    /// The weights that training resumes from, by parameter, where they are not those of the saved model.
    pub training_weights: Option<BTreeMap<String, TensorData>>,
    /// The recurrent state after the last batch, where batches carry it.
    pub carried: Option<BTreeMap<String, TensorData>>,
}

impl Checkpoint {
    /// Writes the files into `folder`, which becomes a checkpoint when it is whole.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, folder: &mut StagedFolder<'_>) -> Result<(), CheckpointError> {
        let bytes = serde_json::to_vec_pretty(&self.state).map_err(|error| CheckpointError::LoopState {
            path: TRAINING_STATE_FILE.into(),
            message: error.to_string(),
        })?;
        folder.write(TRAINING_STATE_FILE, &bytes)?;
        folder.write_tensors(OPTIMIZER_FILE, &self.optimizer, &BTreeMap::new())?;
        for (name, tensors) in [(TRAINING_WEIGHTS_FILE, &self.training_weights), (CARRIED_STATE_FILE, &self.carried)] {
            if let Some(tensors) = tensors {
                folder.write_tensors(name, tensors, &BTreeMap::new())?;
            }
        }
        Ok(())
    }

    /// Reads what [`Checkpoint::write`] wrote, each file while it is verified.
    ///
    /// # Errors
    /// When a file is missing or damaged, or the checkpoint holds weights alone.
    pub fn read(checkpoint: &mut CheckpointReader<'_>) -> Result<Self, CheckpointError> {
        if !checkpoint.manifest().lists(OPTIMIZER_FILE) {
            return Err(CheckpointError::WeightsOnly { folder: checkpoint.folder().to_path_buf() });
        }
        let bytes = checkpoint.read_small(TRAINING_STATE_FILE, LONGEST_STATE)?;
        let state = LoopState::parse(&bytes, checkpoint.folder())?;
        let optimizer = checkpoint.read_all_tensors(OPTIMIZER_FILE)?.tensors;
        let training_weights = read_if_listed(checkpoint, TRAINING_WEIGHTS_FILE)?;
        let carried = read_if_listed(checkpoint, CARRIED_STATE_FILE)?;
        Ok(Self { state, optimizer, training_weights, carried })
    }
}

fn read_if_listed(
    checkpoint: &mut CheckpointReader<'_>,
    name: &str,
) -> Result<Option<BTreeMap<String, TensorData>>, StorageError> {
    if !checkpoint.manifest().lists(name) {
        return Ok(None);
    }
    Ok(Some(checkpoint.read_all_tensors(name)?.tensors))
}
