//! The run folder of a session, and what is known of it.

use std::sync::Arc;
use std::time::Duration;

use crate::learning::TrainError;
use crate::run::{CheckpointError, LoopState, MetricsLog, RunFolder, Saver};

/// The run folder, and what is known of it.
pub(super) struct Storage {
    pub(super) folder: Arc<RunFolder>,
    pub(super) log: MetricsLog,
    pub(super) saver: Saver,
    /// The newest checkpoint: after how many updates, and after which evaluation.
    pub(super) saved: Option<(u64, Option<u64>)>,
    /// How long training waited for it.
    pub(super) waited: Duration,
    /// Why the newest checkpoint could not be written.
    pub(super) unsaved: Option<CheckpointError>,
    /// Whether the last line could not be appended to the log.
    pub(super) log_fails: bool,
}

impl Storage {
    /// The folder of a run that is at `state`, which is saved unless nothing was done yet; `keep` checkpoints stay.
    pub(super) fn new(folder: Arc<RunFolder>, log: MetricsLog, keep: usize, state: &LoopState) -> Self {
        let saved = (state.step > 0).then_some((state.step, state.evaluated));
        let saver = Saver::new(Arc::clone(&folder), keep);
        Self { folder, log, saver, saved, waited: Duration::ZERO, unsaved: None, log_fails: false }
    }

    /// Makes sure that the newest checkpoint, that of `step`, was written.
    pub(super) fn check_saved(&mut self, step: u64) -> Result<(), TrainError> {
        match self.unsaved.take() {
            None => Ok(()),
            Some(error) => Err(TrainError::NotSaved { step, source: Box::new(error) }),
        }
    }
}
