//! What the loop writes, and what it does when it cannot.

use std::time::Instant;

use kiln_models::saved::state_tensors;
use serde::Serialize;

use super::Running;
use crate::config::OnSaveError;
use crate::learning::TrainError;
use crate::learning::observer::Event;
use crate::run::{Checkpoint, CheckpointError, Saved, ScheduleEntry, Snapshot};

impl Running {
    /// Begins to write a checkpoint of this step, unless there is one that knows as much. Waits for the one before.
    pub(super) fn save(&mut self) -> Result<(), TrainError> {
        let started = Instant::now();
        let begun = self.begin_to_save();
        self.saving += started.elapsed();
        begun
    }

    fn begin_to_save(&mut self) -> Result<(), TrainError> {
        let newest = (self.state.step, self.state.evaluated);
        if self.saved == Some(newest) {
            return Ok(());
        }
        let ended = self.saver.wait();
        self.hear(ended)?;
        let updater = &self.updater;
        self.state.schedule = ScheduleEntry(updater.parts.schedule.get().state());
        self.state.averaging = updater.parts.averaging.state();
        let checkpoint = Checkpoint {
            state: self.state.clone(),
            optimizer: updater.parts.optimizer.state(),
            training_weights: updater.training_weights().map_err(CheckpointError::Saved)?,
            carried: updater.parts.carried.as_ref().map(state_tensors),
        };
        let snapshot = Snapshot::take(&updater.finished_model(), self.folder.description(), checkpoint);
        match snapshot {
            Ok(snapshot) => {
                self.saver.begin(snapshot, self.log.file());
                self.saved = Some(newest);
                Ok(())
            }
            Err(error) => self.go_on_without(error),
        }
    }

    /// Waits for what is being written.
    pub(super) fn settle(&mut self) -> Result<(), TrainError> {
        let started = Instant::now();
        let ended = self.saver.wait();
        self.saving += started.elapsed();
        self.hear(ended)
    }

    /// Hears of what was written since, without waiting.
    pub(super) fn look_at_saving(&mut self) -> Result<(), TrainError> {
        let ended = self.saver.finished();
        self.hear(ended)
    }

    fn hear(&mut self, ended: Option<Result<Saved, CheckpointError>>) -> Result<(), TrainError> {
        match ended {
            None => Ok(()),
            Some(Ok(Saved { step, folder, tidied })) => {
                self.unsaved = None;
                self.observer.observe(Event::Saved { step, folder: &folder });
                if let Err(error) = tidied {
                    self.observer.warn(&format!("{error}; the checkpoint of step {step} is saved all the same"));
                }
                Ok(())
            }
            Some(Err(error)) => {
                self.saved = None;
                self.go_on_without(error)
            }
        }
    }

    fn go_on_without(&mut self, error: CheckpointError) -> Result<(), TrainError> {
        if self.run.on_save_error == OnSaveError::Stop {
            return Err(error.into());
        }
        self.observer.warn(&format!("{error}; training goes on, and the next checkpoint is tried as ever"));
        self.unsaved = Some(error);
        Ok(())
    }

    /// Appends a line to the log.
    pub(super) fn note(&mut self, entry: &impl Serialize) -> Result<(), TrainError> {
        match self.log.append(entry) {
            Ok(()) => self.log_fails = false,
            Err(error) if self.run.on_save_error == OnSaveError::Stop => return Err(error.into()),
            Err(error) => {
                // Once is enough, until it works again.
                if !std::mem::replace(&mut self.log_fails, true) {
                    self.observer.warn(&format!("{error}; training goes on without its lines"));
                }
            }
        }
        Ok(())
    }
}
