//! Why training ended without being done.

use burn::tensor::ExecutionError;

use crate::averaging::AveragingStateError;
use crate::batches::TooShort;
use crate::optimizers::OptimizerStateError;
use crate::run::{CheckpointError, FolderError};
use crate::schedules::ScheduleStateError;

/// Why training ended without being done.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A loss or a gradient is not a finite number; the weights were not touched.
    #[error(
        "training diverged at step {step}: the {what} is {value}; no weights were changed by it, and the checkpoints \
         before it are kept. Try a smaller learning rate, a warm-up, or `run.clip-norm = 1.0`"
    )]
    Diverged {
        /// The update that was not made, counted from 1.
        step: u64,
        /// `loss` or `gradient norm`.
        what: &'static str,
        /// The value.
        value: f64,
    },
    /// The text is too short for one batch.
    #[error(transparent)]
    TooShort(#[from] TooShort),
    /// The tokens cannot be read.
    #[error("{0}")]
    Data(String),
    /// The run folder cannot be written.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A checkpoint cannot be written or read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A checkpoint's optimizer state does not fit.
    #[error(transparent)]
    OptimizerState(#[from] OptimizerStateError),
    /// A checkpoint's average does not fit.
    #[error(transparent)]
    AveragingState(#[from] AveragingStateError),
    /// A checkpoint's schedule state does not fit.
    #[error(transparent)]
    ScheduleState(#[from] ScheduleStateError),
    /// burn-train stopped the loop.
    #[error("training stopped: {0}")]
    Learner(String),
}

impl From<ExecutionError> for TrainError {
    /// The device did not give what was computed on it.
    fn from(error: ExecutionError) -> Self {
        Self::Learner(error.to_string())
    }
}
