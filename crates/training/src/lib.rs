//! Tokens to batches to loss to update to checkpoint.
//!
//! [`learning::Trainer`] trains in memory; [`learning::train`] trains in a [`run`] folder, with evaluations, samples,
//! checkpoints and burn-train's dashboard. What a run does is said by a [`config::Config`].

pub mod config;
pub mod estimate;
pub mod evaluation;
pub mod gradient_measurements;
pub mod learning;

pub mod run;
pub mod sweep;
