//! Gradients to new parameters: optimizers, schedules of the learning rate, and averages of the weights.

pub mod averaging;
pub mod optimizers;
pub mod schedules;
