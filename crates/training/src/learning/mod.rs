//! Batches to loss to update: the training loop, run by burn-train.

mod dashboard;
mod error;
mod launch;
mod loader;
mod loss;
mod model;
mod observer;
mod step_loop;
#[cfg(test)]
mod tests;
mod update;

pub use error::TrainError;
pub use launch::{Outcome, Session, train};
pub use loader::EvaluationLoader;
pub use loss::token_losses;
pub use model::{EvaluationInput, EvaluationOutput, TrainingInput, TrainingModel, TrainingOutput};
pub use observer::{Event, Observer, Stop};
