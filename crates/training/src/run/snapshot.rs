//! Everything of a checkpoint on the host, so that training continues while it is written.

use std::collections::BTreeMap;

use burn::tensor::TensorData;
use kiln_models::saved::{HostModel, ModelDescription, check_finite};
use kiln_storage::layout::TRAINING_WEIGHTS_FILE;

use super::checkpoint::Checkpoint;
use super::error::CheckpointError;

/// A checkpoint before it is on the disk.
pub struct Snapshot {
    pub(super) model: HostModel,
    pub(super) checkpoint: Checkpoint,
}

impl Snapshot {
    /// The weights to be saved, by path, and the rest of the checkpoint.
    ///
    /// # Errors
    /// When a weight is not finite, of those that are saved or of those that training resumes from.
    pub fn new(
        weights: BTreeMap<String, TensorData>,
        description: &ModelDescription,
        checkpoint: Checkpoint,
    ) -> Result<Self, CheckpointError> {
        let model = HostModel::new(weights, description)?;
        if let Some(weights) = &checkpoint.training_weights {
            check_finite(weights, TRAINING_WEIGHTS_FILE.as_ref())?;
        }
        Ok(Self { model, checkpoint })
    }

    /// Updates made before it.
    pub fn step(&self) -> u64 {
        self.checkpoint.state.step
    }
}
