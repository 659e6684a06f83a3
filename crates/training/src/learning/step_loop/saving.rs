//! What the loop writes, and what it does when it cannot.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::TrainingLoop;
use crate::config::OnSaveError;
use crate::learning::TrainError;
use crate::learning::observer::Event;
use crate::run::{CheckpointError, LoopState, MetricsLog, RunFolder, Saved, Saver, Snapshot};

/// The run folder, and what is known of it.
pub(super) struct Storage {
    pub(super) folder: Arc<RunFolder>,
    pub(super) log: MetricsLog,
    saver: Saver,
    /// The newest checkpoint: after how many updates, and after which evaluation.
    pub(super) saved: Option<(u64, Option<u64>)>,
    /// How long training waited for it.
    pub(super) waited: Duration,
    /// Why the newest checkpoint could not be written.
    unsaved: Option<CheckpointError>,
    /// Whether the last line could not be appended to the log.
    log_fails: bool,
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

impl TrainingLoop {
    /// Begins to write a checkpoint of this step, unless there is one that knows as much. Waits for the one before.
    pub(super) fn save(&mut self) -> Result<(), TrainError> {
        let started = Instant::now();
        let begun = self.begin_to_save();
        self.storage.waited += started.elapsed();
        begun
    }

    fn begin_to_save(&mut self) -> Result<(), TrainError> {
        let newest = (self.state.step, self.state.evaluated);
        if self.storage.saved == Some(newest) {
            return Ok(());
        }
        let ended = self.storage.saver.wait();
        self.handle_saved(ended)?;
        let (weights, checkpoint) = self.updater.checkpoint(&self.state)?;
        match Snapshot::new(weights, self.storage.folder.description(), checkpoint) {
            Ok(snapshot) => {
                self.storage.saver.begin(snapshot, self.storage.log.file());
                self.storage.saved = Some(newest);
                Ok(())
            }
            Err(error) => self.continue_unsaved(error),
        }
    }

    /// Waits for what is being written.
    pub(super) fn settle(&mut self) -> Result<(), TrainError> {
        let started = Instant::now();
        let ended = self.storage.saver.wait();
        self.storage.waited += started.elapsed();
        self.handle_saved(ended)
    }

    /// Handles the end of what was being written, if it has ended, without waiting.
    pub(super) fn check_saving(&mut self) -> Result<(), TrainError> {
        let ended = self.storage.saver.finished();
        self.handle_saved(ended)
    }

    fn handle_saved(&mut self, ended: Option<Result<Saved, CheckpointError>>) -> Result<(), TrainError> {
        match ended {
            None => Ok(()),
            Some(Ok(Saved { step, folder, tidied })) => {
                self.storage.unsaved = None;
                self.observer.observe(Event::Saved { step, folder: &folder });
                if let Err(error) = tidied {
                    self.observer.warn(&format!("{error}; the checkpoint of step {step} is saved all the same"));
                }
                Ok(())
            }
            Some(Err(error)) => {
                self.storage.saved = None;
                self.continue_unsaved(error)
            }
        }
    }

    fn continue_unsaved(&mut self, error: CheckpointError) -> Result<(), TrainError> {
        if self.run.on_save_error == OnSaveError::Stop {
            return Err(error.into());
        }
        self.observer.warn(&format!("{error}; training goes on, and the next checkpoint is tried as ever"));
        self.storage.unsaved = Some(error);
        Ok(())
    }

    /// Appends a line to the log.
    pub(super) fn note(&mut self, entry: &impl Serialize) -> Result<(), TrainError> {
        match self.storage.log.append(entry) {
            Ok(()) => self.storage.log_fails = false,
            Err(error) if self.run.on_save_error == OnSaveError::Stop => return Err(error.into()),
            Err(error) => {
                // Once is enough, until it works again.
                if !std::mem::replace(&mut self.storage.log_fails, true) {
                    self.observer.warn(&format!("{error}; training goes on without its lines"));
                }
            }
        }
        Ok(())
    }
}
