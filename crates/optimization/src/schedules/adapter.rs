//! A schedule as Burn's learner wants it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use burn::optim::lr_scheduler::{LrScheduler, LrSchedulerRecord};

use super::Schedule;

/// How many bytes of a saved state its record holds.
const LENGTH: &str = "bytes";

/// A schedule that the loop and Burn's learner share: the loop tells it the losses, the learner asks it for the rate.
///
/// Burn's schedulers are not shown the loss; sharing is the way around. Clones are the same schedule. Burn's record
/// holds
/// nothing but named scalars, so the state travels in it as the bytes of its JSON, eight in a scalar. Kiln's own
/// checkpoints keep [`Schedule::state`] as it is.
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
        let bytes = self.get().state().to_string().into_bytes();
        let record = LrSchedulerRecord::new().with_scalar(LENGTH, bytes.len() as u64);
        bytes.chunks(8).enumerate().fold(record, |record, (index, chunk)| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            record.with_scalar(&index.to_string(), u64::from_le_bytes(word))
        })
    }

    /// # Panics
    /// When the record was not made by a schedule of the same configuration. Burn's trait leaves no other way to say
    /// so.
    fn load_record(&mut self, record: LrSchedulerRecord) {
        let restored = state_of(&record).map(|state| self.get().restore(state));
        assert!(matches!(restored, Some(Ok(()))), "the record does not fit the configured schedule: {restored:?}");
    }
}

/// The state in a record, if it is whole.
fn state_of(record: &LrSchedulerRecord) -> Option<serde_json::Value> {
    let length = usize::try_from(record.scalar::<u64>(LENGTH)?).ok()?;
    let mut bytes = Vec::new();
    while bytes.len() < length {
        bytes.extend(record.scalar::<u64>(&(bytes.len() / 8).to_string())?.to_le_bytes());
    }
    bytes.truncate(length);
    serde_json::from_slice(&bytes).ok()
}
