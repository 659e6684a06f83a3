//! A schedule as Burn's learner wants it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use burn::optim::lr_scheduler::{LrScheduler, LrSchedulerRecord};

use super::Schedule;

/// A schedule that the loop and Burn's learner share: the loop tells it the losses, the learner asks it for the rate.
///
/// Burn's schedulers are not shown the loss; sharing is the way around. Clones are the same schedule. What is saved with
/// a checkpoint is [`Schedule::state`], not Burn's record, so the record here is empty.
#[derive(Clone)]
pub struct SharedSchedule(Arc<Mutex<Box<dyn Schedule>>>);

impl SharedSchedule {
    /// Shares `schedule`.
    pub fn new(schedule: Box<dyn Schedule>) -> Self {
        Self(Arc::new(Mutex::new(schedule)))
    }

    /// The schedule itself.
    pub fn get(&self) -> MutexGuard<'_, Box<dyn Schedule>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LrScheduler for SharedSchedule {
    fn step(&mut self) -> f64 {
        self.get().next_rate()
    }

    fn to_record(&self) -> LrSchedulerRecord {
        LrSchedulerRecord::new()
    }

    fn load_record(&mut self, _record: LrSchedulerRecord) {}
}
