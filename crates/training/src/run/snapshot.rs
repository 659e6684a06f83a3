//! Everything of a checkpoint on the host, so that training continues while it is written.

use kiln_models::LanguageModel;
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
    /// Copies the weights of `model` from their device, to be saved with `checkpoint`.
    ///
    /// # Errors
    /// When a weight is not finite, of those that are saved or of those that training resumes from, or the device
    /// fails.
    pub fn take(
        model: &LanguageModel,
        description: &ModelDescription,
        checkpoint: Checkpoint,
    ) -> Result<Self, CheckpointError> {
        let model = HostModel::copy(model, description)?;
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
