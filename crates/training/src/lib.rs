//! Tokens to batches to loss to update to checkpoint.
//!
//! [`learning::Trainer`] trains in memory; [`learning::train`] trains in a [`run`] folder, with evaluations, samples,
//! checkpoints and the metrics that a dashboard shows. What a run does is said by a [`config::Config`].

pub mod config;
pub mod estimate;
pub mod evaluation;
pub mod gradient_measurements;
pub mod learning;
pub mod misleading;
pub mod run;
mod running_mean;
pub mod sweep;

pub use running_mean::RunningMean;
