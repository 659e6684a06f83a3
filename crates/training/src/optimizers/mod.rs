//! Optimizers: gradients to new parameters.
//!
//! Burn's own optimizers are not used. Their record is keyed by random parameter ids and is restored on the default
//! device, which may not exist (ARCHITECTURE.md, "What is taken from burn-train"); their defaults differ from PyTorch's.
//! Here a rule sees one parameter at a time, flattened, with its state under the parameter's path in the module.

mod adam;
mod clipping;
mod config;
mod parameters;
mod sgd;
#[cfg(test)]
mod tests;

pub use adam::AdamRule;
pub use clipping::{GlobalNorm, clip_coefficient, global_norm};
pub use config::{AdamConfig, OptimizerConfig, SgdConfig};
pub use parameters::{Optimizer, OptimizerStateError, Parameter, Slots, UpdateRule};
pub use sgd::SgdRule;
