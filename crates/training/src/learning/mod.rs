//! Batches to loss to update: the training loop.
//!
//! [`Trainer`] makes updates in memory. [`train`] makes the same updates in a run folder, with evaluations, samples and
//! checkpoints, and gives them to burn-train's metrics. Everything that knows burn-train is in [`burn_train`]; the
//! loop ([`step_loop`]) and its updates ([`update`]) know a [`Monitor`](monitor::Monitor) instead.

mod burn_train;
mod checkpoint;
mod distilling;
mod error;
mod faults;
mod gradients;
mod loss;
mod monitor;
mod observer;
mod pending;
mod preferring;
mod rate_test;
mod reading_ahead;
mod recomputing;
mod session;
mod step_loop;
mod teacher;
#[cfg(test)]
mod tests;
mod trainer;
mod update;

pub use burn_train::{metrics, train};
pub use error::{Divergence, TrainError};
pub use loss::{Teaching, TrainingInput, TrainingOutput, training_loss, training_step};
pub(crate) use loss::{losses_of_pairs, uploaded};
pub use observer::{Event, Observer, Stop};
pub(crate) use preferring::{answer_log_probabilities, preferred};
pub use rate_test::{
    RateFindings, RatePoint, RateRange, RateRule, RateStop, RateTest, RateTrial, Recorder, find_rate, try_rate,
};
pub use session::{Outcome, Session};
pub use teacher::{Teacher, TeacherError};
pub use trainer::Trainer;
pub use update::{Update, check_device};
