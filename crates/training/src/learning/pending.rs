//! Updates that the device was handed, and whose numbers the host does not know yet.
//!
//! A GPU works behind the host. While it computes an update, the host hands it the next one, and takes the numbers of
//! the one before, so that the GPU never stands still between two of them. The device itself decides whether the
//! numbers are finite, and changes nothing if not ([`Guard`]); nor does it in the update that was handed to it
//! meanwhile, which the host discards and begins again when it learns of it. So nothing that comes out depends on
//! the delay.

use std::time::Duration;

use kiln_models::State;
use kiln_optimization::optimizers::{Guard, HostState};

use super::error::TrainError;
use super::gradients::{ComingNumbers, Numbers};
use super::update::{Step, Update, Updater};

/// An update on its way.
pub(super) struct Pending {
    /// Its number, counted from 1.
    pub(super) step: u64,
    pub(super) numbers: ComingNumbers,
    /// Decides on the device; `None` where the host has decided.
    pub(super) guard: Option<Guard>,
    pub(super) learning_rate: f64,
    pub(super) sharpness: Option<f64>,
    /// The time that went into measuring alone.
    pub(super) measuring: Duration,
    /// Targets that count.
    pub(super) tokens: u64,
    pub(super) before: Before,
}

/// What the host knew before an update.
pub(super) struct Before {
    pub(super) carried: Option<State>,
    teacher_carried: Option<State>,
    optimizer: HostState,
    averaged: u64,
    /// Where another update may be on its way.
    schedule: Option<serde_json::Value>,
}

/// What came of an update, and the one that is on its way.
type Finished = (Step, Option<Pending>);

impl Updater {
    /// What is taken back if an update turns out not to be made.
    pub(super) fn before(&self) -> Before {
        Before {
            carried: self.carried.clone(),
            teacher_carried: self.teacher_carried.clone(),
            optimizer: self.optimizer.host_state(),
            averaged: self.averaging.count(),
            schedule: self.delays.then(|| self.schedule.state()),
        }
    }

    /// Waits for the numbers of an update. If one is not finite, only the schedule has moved on, and the update that
    /// was handed to the device `later` is given up: it is to begin again.
    ///
    /// # Errors
    /// When the device fails, or the schedule does not take back its own state.
    pub(super) fn finish(&mut self, pending: Pending, later: Option<Pending>) -> Result<Finished, TrainError> {
        let Pending { mut numbers, learning_rate, sharpness, measuring, tokens, before, .. } = pending;
        let numbers = numbers.wait()?;
        if let Some(fault) = numbers.fault() {
            // The last one first.
            if let Some(later) = later {
                self.discard(later)?;
            }
            self.take_back(before);
            return Ok((Step::Skipped(fault), None));
        }
        let Numbers { loss, gradient_norm, losses, .. } = numbers;
        let noise = numbers.noise();
        let update = Update { loss, losses, gradient_norm, learning_rate, noise, sharpness, measuring, tokens };
        Ok((Step::Made(update), later))
    }

    fn discard(&mut self, mut pending: Pending) -> Result<(), TrainError> {
        if let Some(state) = pending.before.schedule.take() {
            self.schedule.restore(state)?;
        }
        self.take_back(pending.before);
        self.faults.taken_back(pending.step);
        Ok(())
    }

    pub(super) fn take_back_states(&mut self, before: &mut Before) {
        self.carried = before.carried.take();
        self.teacher_carried = before.teacher_carried.take();
    }

    fn take_back(&mut self, mut before: Before) {
        self.take_back_states(&mut before);
        self.optimizer.take_back(before.optimizer);
        self.averaging.take_back(before.averaged);
    }
}
