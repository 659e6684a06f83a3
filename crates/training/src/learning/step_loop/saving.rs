//! What the loop writes, and what it does when it cannot.

use std::time::Instant;

use serde::Serialize;

use super::TrainingLoop;
use crate::config::OnSaveError;
use crate::learning::TrainError;
use crate::learning::observer::Event;
use crate::run::{CheckpointError, Saved, Snapshot};

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
        self.observer.warn(&format!("{error}; training continues, and tries to save the next checkpoint as usual"));
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
                    self.observer.warn(&format!("{error}; training continues without its lines"));
                }
            }
        }
        Ok(())
    }
}
