//! Batches to loss to update: the training loop, run by burn-train.

mod dashboard;
mod error;
#[cfg(test)]
mod injection;
mod launch;
mod loader;
mod model;
mod observer;
mod rate_test;
mod restore;
mod step_bench;
mod step_loop;
#[cfg(test)]
pub(crate) mod tests;
mod update;

pub use error::{Divergence, TrainError};
pub use launch::{Outcome, Session, train};
pub use loader::EvaluationLoader;
pub use model::{EvaluationInput, EvaluationOutput, TrainingInput, TrainingModel, TrainingOutput};
pub use observer::{Event, Observer, Stop};
pub use rate_test::{RateFindings, RatePoint, RateRange, RateStop, RateTest, Recorder, find_rate};
pub use step_bench::StepBench;

use kiln_models::LanguageModel;

use crate::config::RunConfig;
use kiln_data::batches::Windows;

/// Whether batches go on from the state that the batch before left.
pub(crate) fn carries_state(model: &LanguageModel, run: &RunConfig) -> bool {
    model.is_recurrent() && run.windows == Windows::Streams
}
