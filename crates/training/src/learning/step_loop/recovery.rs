//! What the loop does about numbers that are not finite: it skips the step; after many in a row, it goes back to an
//! earlier checkpoint and passes over the data in between, as Chowdhery et al. 2022 did with PaLM
//! (<https://arxiv.org/abs/2204.02311>, section 5.1); after some returns, it gives up.

use kiln_models::LanguageModel;

use super::TrainingLoop;
use crate::learning::TrainError;
use crate::learning::error::{Divergence, Fault};
use crate::learning::monitor::Monitor;
use crate::learning::observer::Event;
use crate::run::{Checkpoint, Rollback, RollbackEntry, SkipEntry};

/// Steps in a row whose numbers are not finite, after which the weights are no longer trusted.
const TOO_MANY: u64 = 8;
/// Returns to an earlier checkpoint in a run; the next one would be no better.
const MOST_ROLLBACKS: usize = 3;
/// A resumed run knows how many faults preceded it, but not which.
const UNKNOWN: Fault = Fault { what: "loss", value: f64::NAN };

impl TrainingLoop {
    /// Counts and logs a step whose update was not made.
    pub(super) fn skip(&mut self, fault: Fault) -> Result<(), TrainError> {
        let (first, batches) = (self.position(), self.updater.accumulate);
        self.state.step += 1;
        self.state.faults.skipped += 1;
        self.state.faults.in_a_row += 1;
        self.fault = Some(fault);
        let step = self.state.step;
        let entry = SkipEntry {
            step,
            skipped: fault.what.to_string(),
            value: fault.value.to_string(),
            batches: [first, first + batches - 1],
        };
        self.note(&entry)?;
        self.observer.observe(Event::Skipped { entry: &entry });
        Ok(())
    }

    /// The first batch of the next step, in the order of the data.
    pub(super) fn position(&self) -> u64 {
        self.state.step * self.updater.accumulate + self.state.faults.batches_passed
    }

    pub(super) fn has_too_many_faults(&self) -> bool {
        self.state.faults.in_a_row >= TOO_MANY
    }

    /// Goes back to the newest checkpoint that was not saved during faults, and on in the data.
    ///
    /// # Errors
    /// [`TrainError::Diverged`] if there is no such checkpoint, or training went back too often before.
    pub(super) fn roll_back(&mut self, monitor: &mut dyn Monitor) -> Result<(), TrainError> {
        self.settle()?;
        let (from, position, fault) = (self.state.step, self.position(), self.fault.unwrap_or(UNKNOWN));
        let in_a_row = self.state.faults.in_a_row;
        let mut rollbacks = std::mem::take(&mut self.state.faults.rollbacks);
        let (what, value) = (fault.what, fault.value);
        let diverged = Divergence { step: from, what, value, in_a_row, rollbacks: rollbacks.len() };
        if rollbacks.len() >= MOST_ROLLBACKS {
            return Err(TrainError::Diverged(diverged));
        }
        let model = self.updater.finished_model();
        let Some((model, checkpoint)) = self.storage.folder.newest_before_faults(&model)? else {
            return Err(TrainError::Diverged(diverged));
        };
        self.go_back_to(model, checkpoint)?;
        let batches_passed = position - self.state.step * self.updater.accumulate;
        rollbacks.push(Rollback { from, to: self.state.step, what: what.to_string(), batches_passed });
        let known = self.state.faults.rollbacks.len();
        self.state.faults.batches_passed = batches_passed;
        self.storage.log.cut(self.state.step)?;
        // Those that the checkpoint does not know of were cut off with the lines after it.
        for rollback in &rollbacks[known..] {
            self.note(&RollbackEntry { step: self.state.step + 1, rolled_back: rollback.clone() })?;
        }
        if let Some(rollback) = rollbacks.last() {
            self.observer.observe(Event::RolledBack { rollback });
        }
        self.state.faults.rollbacks = rollbacks;
        monitor.begin_interval(self.state.step);
        Ok(())
    }

    /// Everything as the checkpoint has it; what was saved after it is gone.
    fn go_back_to(&mut self, model: LanguageModel, checkpoint: Checkpoint) -> Result<(), TrainError> {
        let state = self.updater.restore(checkpoint, model, self.run.batch)?;
        self.storage.folder.forget_after(state.step, state.best.map(|best| best.step))?;
        self.storage.saved = Some((state.step, state.evaluated));
        self.clock.resume(&state);
        self.state = state;
        self.fault = None;
        Ok(())
    }
}
