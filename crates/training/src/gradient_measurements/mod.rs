//! Measurements of the gradient while training, which say what a learning rate has to deal with: its noise, and the
//! sharpness of the loss along it.
//!
//! The estimators here are functions of norms and of closures, so that they can be shown right on problems with known
//! answers; the training loop feeds them from the update that it is about to make.

mod config;
mod noise;
mod sharpness;
#[cfg(test)]
mod tests;

pub use config::EstimatesConfig;
pub use noise::{NoiseAverages, NoiseMeasurement, PartNorm};
pub use sharpness::{RELATIVE_STEP, sharpness};
