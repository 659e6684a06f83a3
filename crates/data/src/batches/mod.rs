//! Tokens to batches: which windows of the text are read, and in which order.
//!
//! Every order is a pure function of (seed, position): nothing random is remembered between batches, so resuming at a
//! position gives what an uninterrupted run would have read.

mod batch;
mod evaluation;
mod examples;
mod of_run;
mod order;
mod pairs;
mod permutation;
#[cfg(test)]
mod tests;

pub use batch::{HostBatch, TooShort, read_pairs};
pub use evaluation::{EvaluationBatch, EvaluationPlan, NothingToPredict};
pub use of_run::{Batch, Batches};
pub use order::{BatchOrder, Position, Windows};
pub use pairs::{PairBatch, PairIndex, PairOrder, PairPlan, PairsError};
pub use permutation::mix;
