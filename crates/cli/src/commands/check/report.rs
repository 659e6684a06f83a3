//! What `kiln check` finds out.

use kiln_training::estimate::Estimate;
use serde::Serialize;

use super::text::{TextFacts, Vocabulary};

/// Everything the command found out; what is not known is left out.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) config: String,
    pub(super) model: &'static str,
    /// Trainable numbers.
    pub(super) parameters: Option<u64>,
    /// Where the vocabulary is not known: trainable numbers for each token of it, beside [`Self::fixed_parameters`].
    pub(super) parameters_per_token: u64,
    pub(super) fixed_parameters: u64,
    pub(super) vocabulary: Vocabulary,
    pub(super) text: TextFacts,
    pub(super) needs: Option<Estimate>,
    /// Tokens of the run over tokens of the training split, where the number of those is known.
    pub(super) passes: Option<f64>,
    pub(super) time: Option<Time>,
    /// What will mislead, as far as it can be seen without encoding the text.
    pub(super) warnings: Vec<String>,
}

/// The expected time of training, an estimate.
#[derive(Debug, Serialize)]
pub(super) struct Time {
    /// What was measured on.
    pub(super) device: String,
    /// Measured for products of the size that the model multiplies most.
    pub(super) flops_per_second: f64,
    pub(super) product: [usize; 3],
    pub(super) seconds: f64,
}
