//! Learning-rate schedules: what happened so far to the next rate.
//!
//! A schedule is given every training loss and every validation loss and gives the rate of the next update. Schedules
//! by
//! time ignore the losses. The same objects, out of the same TOML tables, drive language models and, through the same
//! trait, convex problems, which know more: how far the loss is above its minimum, and the error floor of a rate.
//!
//! One file a schedule: its settings are its formula. `by_time` makes a schedule of a formula, `warm_up` goes before
//! any.
//! [`ScheduleConfig::examples`] has one of each; `examples/write_schedule.rs` has one that is not among them.

mod by_time;
mod config;
mod constant;
mod cosine;
mod cosine_restarts;
mod error_floor;
mod exponential;
mod inverse_square_root;
mod inverse_time;
mod linear;
mod noam;
mod non_monotone;
mod one_cycle;
mod piecewise;
mod polynomial;
mod reduce_on_plateau;
mod rules;
mod settings;
mod stall;
mod step;
#[cfg(test)]
mod tests;
mod trigger;
mod warm_up;
mod warmup_stable_decay;

pub use config::ScheduleConfig;
pub use constant::ConstantConfig;
pub use cosine::CosineConfig;
pub use cosine_restarts::CosineRestartsConfig;
pub use error_floor::{ErrorFloorConfig, FloorKind};
pub use exponential::ExponentialConfig;
pub use inverse_square_root::InverseSquareRootConfig;
pub use inverse_time::InverseTimeConfig;
pub use linear::LinearConfig;
pub use noam::NoamConfig;
pub use non_monotone::NonMonotoneConfig;
pub use one_cycle::OneCycleConfig;
pub use piecewise::PiecewiseConfig;
pub use polynomial::PolynomialConfig;
pub use reduce_on_plateau::{ReduceOnPlateauConfig, Watched};
pub use settings::Follows;
pub use stall::{Finding, StallTest};
pub use step::StepConfig;
pub use trigger::NonMonotoneTrigger;
pub use warmup_stable_decay::{DecayShape, WarmupStableDecayConfig};

/// A learning-rate schedule.
///
/// The order within one update is fixed: [`Schedule::observe_training`] with the loss of the batch (and
/// [`Schedule::observe_theory`] if the problem's constants are known), then [`Schedule::next_rate`].
/// [`Schedule::observe_validation`] comes between two updates.
pub trait Schedule: Send {
    /// Takes in the mean training loss of the batch whose update comes next, in nats per token.
    fn observe_training(&mut self, _loss: f64) {}

    /// Whether what [`Schedule::observe_training`] takes in changes anything. If not, a GPU need not be waited for
    /// before each update.
    fn observes_training(&self) -> bool {
        true
    }

    /// Takes in a validation loss, in nats per token.
    fn observe_validation(&mut self, _loss: f64) {}

    /// Takes in where the weights stand against the theory, before the update that comes next.
    fn observe_theory(&mut self, _theory: Theory) {}

    /// The rate of the next update; counts it as made.
    fn next_rate(&mut self) -> f64;

    /// The whole state, to be given to [`Schedule::restore`] of a schedule made from the same configuration.
    fn state(&self) -> serde_json::Value;

    /// Resumes where `state` was taken.
    ///
    /// # Errors
    /// When `state` is not one of this schedule.
    fn restore(&mut self, state: serde_json::Value) -> Result<(), ScheduleStateError>;
}

/// What only a problem with known constants can give.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Theory {
    /// F(w) - F*, how far the objective is above its minimum.
    pub excess: f64,
    /// The error floor of a rate divided by that rate, L sigma² / (2 c b): smoothness L, strong convexity c, variance
    /// sigma² of the gradient at one sample, batch size b (Bottou, Curtis and Nocedal, "Optimization Methods for
    /// Large-Scale Machine Learning", 2018, Theorem 4.6).
    pub floor_per_rate: f64,
    /// Where the error really comes to rest divided by the rate, for small rates: sigma*² / (4 b), with the variance at
    /// the minimum. In one direction of curvature lambda and variance s² / b the error e of the weight rests at E e² =
    /// eta s² / (b lambda (2 - eta lambda)), and lambda E e² / 2 is eta s² / (4 b) for small eta; the sum over all
    /// directions has sigma*² for s².
    pub true_floor_per_rate: f64,
}

/// A saved state that does not belong to the schedule.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleStateError {
    /// It isn't the state of a schedule.
    #[error("the saved state of the learning-rate schedule does not fit the configured schedule: {0}")]
    Damaged(#[from] serde_json::Error),
    /// It is that of another schedule.
    #[error(
        "the saved state of the learning-rate schedule is that of [schedule.{saved}] and does not fit the configured \
         schedule \
         [schedule.{configured}]"
    )]
    Other {
        /// The schedule that the state was saved of.
        saved: String,
        /// The configured one.
        configured: &'static str,
    },
}
