//! Learning-rate schedules: what happened so far to the next rate.
//!
//! A schedule is told every training loss and every validation loss and gives the rate of the next update. Schedules by
//! time ignore the losses. The same objects drive language models and, through the same trait, convex problems.

mod adapter;
mod config;
mod constant;
mod cosine;
#[cfg(test)]
mod tests;
mod trigger;

pub use adapter::SharedSchedule;
pub use config::{ConstantConfig, CosineConfig, ScheduleConfig};
pub use constant::Constant;
pub use cosine::Cosine;
pub use trigger::NonMonotoneTrigger;

/// A learning-rate schedule.
///
/// The order within one update is fixed: [`Schedule::observe_training`] with the loss of the batch, then
/// [`Schedule::next_rate`]. [`Schedule::observe_validation`] comes between two updates.
pub trait Schedule: Send {
    /// Tells the mean training loss of the batch whose update comes next, in nats per token.
    fn observe_training(&mut self, _loss: f64) {}

    /// Tells a validation loss, in nats per token.
    fn observe_validation(&mut self, _loss: f64) {}

    /// The rate of the next update; counts it as made.
    fn next_rate(&mut self) -> f64;

    /// The whole state, to be given to [`Schedule::restore`] of a schedule made from the same configuration.
    fn state(&self) -> serde_json::Value;

    /// Goes on where `state` was taken.
    ///
    /// # Errors
    /// When `state` is not one of this schedule.
    fn restore(&mut self, state: serde_json::Value) -> Result<(), ScheduleStateError>;
}

/// A saved state that does not belong to the schedule.
#[derive(Debug, thiserror::Error)]
#[error("the saved state of the learning-rate schedule does not fit the configured schedule: {0}")]
pub struct ScheduleStateError(#[from] serde_json::Error);
