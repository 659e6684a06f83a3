//! What a family of models says about itself before one is built.

use kiln_parameters::PartCount;
use kiln_settings::Violation;

use crate::counting::TrainingCosts;

/// A family of models, by the table of its configuration: what everything else needs to know of it.
pub(crate) trait Family {
    /// The name of its table under `[model]`.
    fn name(&self) -> &'static str;

    /// Every broken rule, keys relative to the table; upper bounds keep every count below within 64 bits.
    fn validate(&self) -> Vec<Violation>;

    /// Trainable numbers by part.
    fn parameters(&self, vocabulary: usize, context: usize) -> Vec<PartCount>;

    /// Multiply-additions of one token's forward pass in a window of `context` tokens, through the matrix products.
    fn multiply_additions(&self, vocabulary: usize, context: usize) -> u64;

    /// Whether training carries the state from one window into the next.
    fn carries_state_between_windows(&self) -> bool;

    /// Whether anything is dropped while training.
    fn has_dropout(&self) -> bool;

    /// What the layers hold, move and start while training on `batch` windows of `context` tokens.
    fn training_costs(&self, batch: usize, context: usize) -> TrainingCosts;
}
