//! The order in which examples are read.

use std::sync::Arc;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::batch::TooShort;
use super::order::{Position, Windows};
use super::permutation::{Permutation, mix};
use crate::shards::Examples;

/// Batches whose examples are sorted by length together.
const POOL: u64 = 32;

/// Which examples make up a batch: a pure function of seed and position.
///
/// Shuffled, each example is read once an epoch. Those of some dozens of batches, which stand together in the shuffled
/// order, are sorted by length before they are cut into batches, so that little of a batch is padding; the batches
/// among them are shuffled again.
#[derive(Debug, Clone)]
pub(super) struct ExampleOrder {
    /// The numbers of the examples that fit.
    numbers: Arc<[u64]>,
    windows: Windows,
    rows: u64,
    columns: usize,
    seed: u64,
}

/// Whether a split has `rows` examples for windows of `columns` tokens.
pub(super) fn check_examples(
    split: &'static str,
    examples: &Examples,
    rows: usize,
    columns: usize,
) -> Result<(), TooShort> {
    let (found, needed) = (examples.fitting(columns).examples.len() as u64, rows as u64);
    if found >= needed {
        return Ok(());
    }
    let what = match examples.count() - found {
        0 => format!("{rows} rows"),
        left_out => format!("{rows} rows; {left_out} more don't fit `run.context`, which is {columns}"),
    };
    let (unit, more) = ("examples", "more of them");
    let advice = if split == "training" { "a smaller `run.batch`" } else { "a larger `data.validation-fraction`" };
    Err(TooShort { split, unit, found, needed, what, more, advice })
}

impl ExampleOrder {
    /// Of a split that has a batch.
    pub(super) fn new(examples: &Examples, windows: Windows, rows: usize, columns: usize, seed: u64) -> Self {
        let numbers = examples.fitting(columns).examples;
        Self { numbers, windows, rows: rows as u64, columns, seed }
    }

    pub(super) fn batches_per_epoch(&self) -> u64 {
        (self.numbers.len() as u64 / self.rows).max(1)
    }

    /// The numbers of the examples of a batch.
    pub(super) fn numbers(&self, examples: &Examples, position: Position) -> Vec<u64> {
        match self.windows {
            Windows::Random => self.drawn(position),
            Windows::Shuffled | Windows::Streams => self.shuffled(examples, position),
        }
    }

    fn drawn(&self, position: Position) -> Vec<u64> {
        let mut random = ChaCha8Rng::seed_from_u64(mix(self.seed, 0));
        random.set_stream(position.index);
        (0..self.rows).map(|_| self.numbers[random.random_range(0..self.numbers.len())]).collect()
    }

    fn shuffled(&self, examples: &Examples, position: Position) -> Vec<u64> {
        let key = mix(mix(self.seed, 1), position.epoch);
        let order = Permutation::new(self.numbers.len() as u64, key);
        let first = position.index / POOL * POOL;
        let batches = POOL.min(self.batches_per_epoch() - first);
        let pool = first * self.rows..(first + batches) * self.rows;
        let mut pool: Vec<u64> = pool.map(|index| self.numbers[order.apply(index) as usize]).collect();
        pool.sort_by_key(|example| examples.inputs(*example, self.columns));
        let batch = Permutation::new(batches, mix(key, 2 + first)).apply(position.index - first);
        pool[(batch * self.rows) as usize..][..self.rows as usize].to_vec()
    }
}
