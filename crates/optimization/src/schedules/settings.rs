//! What the settings of every schedule answer.

use kiln_settings::Violation;

use super::Schedule;

/// What the rates of a schedule follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follows {
    /// The number of the update, and nothing else.
    Time,
    /// The number of the update, falling as a power of it for as long as the run lasts.
    PowerOfTime,
    /// The losses that the schedule is given.
    Losses,
}

/// The settings of a schedule: one table under `[schedule]`.
pub(super) trait Settings {
    /// A valid table whose highest rate is `rate`, with a warm-up if it has one, for a run of `steps` updates (10 or
    /// more)
    /// within which its rate changes.
    fn example(rate: f64, steps: u64) -> Self
    where
        Self: Sized;

    /// What the rates follow.
    fn follows(&self) -> Follows;

    /// The updates before the schedule proper, over which the rate rises to its first one.
    fn warmup(&self) -> u64;

    /// The first rate after the warm-up, and the schedule from there on, in a run of `steps` updates, the warm-up
    /// included.
    fn build(&self, steps: u64) -> (f64, Box<dyn Schedule>);

    /// Every broken rule in a run of `steps` updates.
    fn validate(&self, steps: u64) -> Vec<Violation>;
}
