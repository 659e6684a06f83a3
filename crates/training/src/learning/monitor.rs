//! What the loop knows of its surroundings.

use crate::run::StepEntry;

/// Shows a run while it trains, and may ask it to stop.
pub(super) trait Monitor {
    /// The updates after update number `step` begin, up to the next evaluation.
    fn begin_interval(&mut self, step: u64);

    /// An update was made; so many seconds are left to the end, if that is known.
    fn updated(&mut self, entry: &StepEntry, remaining_seconds: Option<f64>);

    /// The weights after update number `step` were evaluated, which ends an interval; the loss is in nats per token.
    fn evaluated(&mut self, step: u64, valid_loss: f64);

    /// Whether the run is to stop.
    fn should_stop(&self) -> bool;

    /// Why, if a reason was given.
    fn stop_reason(&self) -> Option<String>;
}
