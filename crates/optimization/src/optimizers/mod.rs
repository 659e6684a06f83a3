//! Optimizers: gradients to new parameters.
//!
//! Burn's own optimizers are not used. Their record is keyed by random parameter ids and is restored on the default
//! device, which may not exist (ARCHITECTURE.md, "What is taken from burn-train"); their defaults differ from
//! PyTorch's. Here a rule ([`UpdateRule`]) sees parameters, flattened, each with its state under its path in the
//! module. [`Optimizer`] applies a rule to a module; [`OptimizerConfig::rule`] gives the rule alone, which moves any
//! vector.
//!
//! A rate for each element ([`Rate::Each`]) is what runs many descents side by side in one vector, each with a schedule
//! of its own. Every elementwise rule takes it; training itself has one rate.

mod adam;
mod clipping;
mod config;
mod eight_bits;
mod error;
mod lion;
mod muon;
mod parameters;
mod rate;
mod rmsprop;
mod rule;
mod schedule_free;
mod schedule_free_adamw;
mod schedule_free_sgd;
mod settings;
mod sgd;
mod slots;
mod terms;
#[cfg(test)]
mod tests;

pub use adam::{AdamConfig, AdamRule, AdamwConfig};
pub use clipping::{GlobalNorm, global_norm};
pub use config::{OptimizerConfig, StateBits};
pub use eight_bits::EightBitState;
pub use error::OptimizerStateError;
pub use kiln_kernels::{GradientScale, Guard, clip_coefficient};
pub use lion::{LionConfig, LionRule};
pub use muon::{MuonAdjustment, MuonConfig, MuonRule};
pub use parameters::{HostState, Optimizer};
pub use rate::Rate;
pub use rmsprop::{RmspropConfig, RmspropRule};
pub use rule::{Moving, ParameterView, UpdateRule};
pub use schedule_free_adamw::{ScheduleFreeAdamwConfig, ScheduleFreeAdamwRule};
pub use schedule_free_sgd::{ScheduleFreeSgdConfig, ScheduleFreeSgdRule};
pub use sgd::{SgdConfig, SgdRule};
pub use slots::{SlotNames, Slots};
