//! What losses and gradients that are not finite did to a run.

use serde::{Deserialize, Serialize};

/// The record of a run's numerical faults.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Faults {
    /// Steps whose update was not made, of those that count.
    #[serde(default)]
    pub skipped: u64,
    /// How many of them were the last ones, one after the other.
    #[serde(default)]
    pub in_a_row: u64,
    /// Batches that the order of the data has moved on by, beyond those of the steps: those that were passed over.
    #[serde(default)]
    pub batches_passed: u64,
    /// Every return to an earlier checkpoint.
    #[serde(default)]
    pub rollbacks: Vec<Rollback>,
}

impl Faults {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A return to an earlier checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollback {
    /// The step that was the last straw.
    pub from: u64,
    /// The step of the checkpoint that training went back to.
    pub to: u64,
    /// What was not finite there: `loss`, `gradient norm` or `validation loss`.
    pub what: String,
    /// How many batches the data has moved on by in all: the first batch after the return is this much later in the
    /// order than the step alone says.
    pub batches_passed: u64,
}
