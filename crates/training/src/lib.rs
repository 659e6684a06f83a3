//! Tokens to batches to loss to update to checkpoint: the training loop of Kiln, on burn-train.
//!
//! Data goes one way through the modules: [`corpus`] (text) to [`shards`] (tokens on disk) to [`batches`] to [`learning`]
//! (loss, gradients, the loop), which moves the model by [`optimizers`] and [`schedules`], averages it by [`averaging`] and
//! writes the [`run`] folder.

pub mod config;
pub mod estimate;
pub mod evaluation;
pub mod gradient_measurements;
pub mod learning;
pub mod run;
