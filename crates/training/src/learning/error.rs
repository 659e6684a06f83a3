//! Why training ended without being done.

use std::fmt;

use burn::tensor::ExecutionError;

use crate::evaluation::EvaluationError;
use crate::parts::PartsError;
use crate::run::{CheckpointError, FolderError};
use kiln_data::batches::{PairsError, TooShort};
use kiln_data::shards::ShardError;
use kiln_optimization::averaging::AveragingStateError;
use kiln_optimization::optimizers::OptimizerStateError;
use kiln_optimization::schedules::ScheduleStateError;

/// A number that should be finite and isn't.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Fault {
    /// `loss`, `gradient norm` or `validation loss`.
    pub(super) what: &'static str,
    /// The number.
    pub(super) value: f64,
}

/// Training that did not return to finite numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Divergence {
    /// The last step that was tried, counted from 1.
    pub step: u64,
    /// `loss`, `gradient norm` or `validation loss`.
    pub what: &'static str,
    /// Its value.
    pub value: f64,
    /// How many steps in a row ended so.
    pub in_a_row: u64,
    /// How often training went back to an earlier checkpoint before.
    pub rollbacks: usize,
}

impl Divergence {
    /// A divergence that training made no attempt to recover from.
    pub(super) fn at(step: u64, fault: Fault) -> Self {
        Self { step, what: fault.what, value: fault.value, in_a_row: 1, rollbacks: 0 }
    }
}

impl fmt::Display for Divergence {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the {} is {}", self.what, self.value)?;
        if self.in_a_row > 1 {
            write!(formatter, ", the last of {} steps in a row that were skipped for such a number", self.in_a_row)?;
        }
        match self.rollbacks {
            0 => Ok(()),
            1 => write!(formatter, ", after training had gone back to an earlier checkpoint once"),
            times => write!(formatter, ", after training had gone back to an earlier checkpoint {times} times"),
        }
    }
}

/// Why training ended without being done.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// Losses or gradients are not finite numbers, again and again; the weights were not touched by them.
    #[error(
        "training diverged at step {}: {}; no weights were changed by it, and the checkpoints before it are kept. Try \
         a smaller learning rate, a warm-up, or `run.clip-norm = 1.0`", .0.step, .0
    )]
    Diverged(Divergence),
    /// The text is too short for one batch.
    #[error(transparent)]
    TooShort(#[from] TooShort),
    /// There are no pairs to learn from.
    #[error(transparent)]
    Pairs(#[from] PairsError),
    /// The tokens cannot be read.
    #[error(transparent)]
    Data(#[from] ShardError),
    /// The device did not give what was computed on it.
    #[error("the device failed: {0}")]
    Device(#[from] ExecutionError),
    /// An update has no batch: `run.accumulate` is 0.
    #[error("an update needs a batch, but `run.accumulate` is 0")]
    NoBatch,
    /// The state in 8 bits lies on the host.
    #[error(
        "`run.optimizer-state` is \"8-bit\", which processors alone have; use `--set run.optimizer-state=f32`, or \
         `--device cpu`"
    )]
    StateOnGpu,
    /// Preferences are learned beside a reference model, whose log-probabilities are missing.
    #[error("`[preference]` needs the log-probabilities of the start model, which `kiln train` computes")]
    NoReferences,
    /// The device has no units for the products of `run.precision = "mixed"`.
    #[error("`run.precision` is \"mixed\", but {0}; use `--set run.precision=f32`, or another `--device`")]
    NoMixedPrecision(String),
    /// The configuration names parameters that the model doesn't have.
    #[error(transparent)]
    Parts(#[from] PartsError),
    /// The run folder cannot be written.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A checkpoint cannot be written or read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Training ended, and its last state could not be written.
    #[error("the state after step {step} could not be saved: {source}; the checkpoints before it are kept")]
    NotSaved {
        /// Updates made.
        step: u64,
        /// Why not.
        source: Box<CheckpointError>,
    },
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

impl From<EvaluationError> for TrainError {
    fn from(error: EvaluationError) -> Self {
        match error {
            EvaluationError::Data(error) => Self::Data(error),
            EvaluationError::Device(error) => Self::Device(error),
        }
    }
}
