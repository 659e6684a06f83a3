//! Attention to the keys of another sequence on the CPU.

use std::ops::Range;

use super::SeenKeys;
use crate::attention::AttentionHeads;
use crate::cpu::parallel::for_tasks;
use crate::cpu::philox::Dropout;
use crate::cpu::reduce::{maximum, sum};
use crate::cpu::{Matrix, MatrixMut, Real, multiply, simd};

/// Queries that are worked on together.
pub(super) const QUERY_TILE: usize = 64;

/// What the pass works on, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes<'a> {
    /// Q, queries of a row.
    pub(super) queries: usize,
    /// K, keys of a row, with padding.
    pub(super) keys: usize,
    pub(super) heads: AttentionHeads,
    pub(super) seen: &'a SeenKeys,
    pub(super) scale: f64,
    /// Of the weights; query i of head h in row b is row i of matrix `b * heads + h`.
    pub(super) dropout: Option<Dropout>,
}

/// The inputs of all rows.
#[derive(Clone, Copy)]
pub(super) struct Inputs<'a, T> {
    /// `[B, Q, queries D]`.
    pub(super) query: &'a [T],
    /// `[B, K, 2 key-value heads D]`.
    pub(super) keys_and_values: &'a [T],
    /// `[1 or B, queries, Q, K]`; empty if there is none.
    pub(super) bias: &'a [T],
}

impl Sizes<'_> {
    pub(super) fn rows(&self) -> usize {
        self.seen.lengths.len()
    }

    /// Numbers in a row of the queries, of the keys and values, and of the weights.
    pub(super) fn row_lengths(&self) -> [usize; 3] {
        let AttentionHeads { queries, key_values, width } = self.heads;
        [self.queries * queries * width, self.keys * 2 * key_values * width, queries * self.queries * self.keys]
    }

    /// In the measure of [`for_tasks`], for this many products.
    pub(super) fn work(&self, products: usize) -> usize {
        let scores = self.heads.queries * self.queries * self.seen.lengths.iter().sum::<usize>();
        scores.saturating_mul(products * (self.heads.width + 16) / 64 + 1)
    }

    /// The most keys that one of these queries sees.
    pub(super) fn most(&self, row: usize, queries: &Range<usize>) -> usize {
        self.seen.count(row, queries.end - 1)
    }

    /// One head of queries, or of outputs, in a row, `[Q, D]`.
    pub(super) fn head<'a, T>(&self, row: &'a [T], head: usize) -> Matrix<'a, T> {
        let width = self.heads.width;
        Matrix::strided(&row[head * width..], self.queries, width, self.heads.output_columns())
    }

    /// The same to write into.
    pub(super) fn head_mut<'a, T>(&self, row: &'a mut [T], head: usize) -> MatrixMut<'a, T> {
        let width = self.heads.width;
        MatrixMut::strided(&mut row[head * width..], self.queries, width, self.heads.output_columns())
    }

    /// The first `count` keys of a key-value head in a row, `[count, D]`; its values stand `key_values` heads further.
    pub(super) fn shared<'a, T>(&self, row: &'a [T], head: usize, count: usize) -> Matrix<'a, T> {
        let AttentionHeads { key_values, width, .. } = self.heads;
        Matrix::strided(&row[head * width..], count, width, 2 * key_values * width)
    }

    /// The same to write into.
    pub(super) fn shared_mut<'a, T>(&self, row: &'a mut [T], head: usize, count: usize) -> MatrixMut<'a, T> {
        let AttentionHeads { key_values, width, .. } = self.heads;
        MatrixMut::strided(&mut row[head * width..], count, width, 2 * key_values * width)
    }
}

impl<'a, T> Inputs<'a, T> {
    /// Those of one row.
    pub(super) fn row(&self, row: usize, sizes: &Sizes<'_>) -> Self {
        let [query, keys, bias] = sizes.row_lengths();
        let of_row = if self.bias.len() == bias { 0 } else { row * bias };
        Self {
            query: &self.query[row * query..][..query],
            keys_and_values: &self.keys_and_values[row * keys..][..keys],
            bias: if self.bias.is_empty() { self.bias } else { &self.bias[of_row..][..bias] },
        }
    }

    /// What is added to the scores of one query of a head, if there is a bias.
    pub(super) fn bias_of(&self, sizes: &Sizes<'_>, head: usize, query: usize) -> Option<&'a [T]> {
        let first = (head * sizes.queries + query) * sizes.keys;
        (!self.bias.is_empty()).then(|| &self.bias[first..][..sizes.keys])
    }
}

/// Writes the output `[B, Q, queries D]`, and the logarithm of the sum of exponentials of each query's scores, `[B,
/// queries, Q]`. A row is the work of one thread, so that its bits depend on it alone.
pub(super) fn cross_attention<T: Real>(inputs: &Inputs<'_, T>, sizes: &Sizes<'_>, output: &mut [T], logs: &mut [T]) {
    let [query, _, _] = sizes.row_lengths();
    let tasks: Vec<_> = output.chunks_mut(query).zip(logs.chunks_mut(sizes.heads.queries * sizes.queries)).collect();
    let tasks: Vec<_> = tasks.into_iter().enumerate().collect();
    for_tasks(tasks, sizes.work(2), |(row, (output, logs))| {
        let inputs = inputs.row(row, sizes);
        let mut weights = vec![T::ZERO; QUERY_TILE.min(sizes.queries) * sizes.keys];
        let mut factors = vec![T::ONE; sizes.keys];
        for head in 0..sizes.heads.queries {
            let shared = head / sizes.heads.group();
            for first in (0..sizes.queries).step_by(QUERY_TILE) {
                let tile = first..sizes.queries.min(first + QUERY_TILE);
                let most = sizes.most(row, &tile);
                let keys = sizes.shared(inputs.keys_and_values, shared, most);
                let scores = MatrixMut::new(&mut weights[..tile.len() * most], tile.len(), most);
                let queries = sizes.head(inputs.query, head).rows(tile.clone());
                multiply(scores, queries, keys.transposed(), T::from_f64(sizes.scale));
                for (query, weights) in tile.clone().zip(weights.chunks_exact_mut(most)) {
                    let (seen, hidden) = weights.split_at_mut(sizes.seen.count(row, query));
                    let factors = &mut factors[..seen.len()];
                    if let Some(dropout) = &sizes.dropout {
                        dropout.fill([query as u32, (row * sizes.heads.queries + head) as u32], 0, factors);
                    }
                    let bias = inputs.bias_of(sizes, head, query);
                    logs[head * sizes.queries + query] = simd(
                        #[inline(always)]
                        || soften(seen, bias, factors),
                    );
                    hidden.fill(T::ZERO);
                }
                let weights = Matrix::new(&weights[..tile.len() * most], tile.len(), most);
                let values = sizes.shared(inputs.keys_and_values, sizes.heads.key_values + shared, most);
                multiply(sizes.head_mut(output, head).rows(tile), weights, values, T::ONE);
            }
        }
    });
}

/// Scores become weights, times their factors; gives the logarithm of the sum of exponentials.
#[inline(always)]
fn soften<T: Real>(scores: &mut [T], bias: Option<&[T]>, factors: &[T]) -> T {
    if let Some(bias) = bias {
        scores.iter_mut().zip(bias).for_each(|(score, bias)| *score += *bias);
    }
    let largest = maximum(scores);
    scores.iter_mut().for_each(|score| *score = (*score - largest).exp());
    let total = sum(scores, |weight| weight);
    let share = T::ONE / total;
    scores.iter_mut().zip(factors).for_each(|(weight, factor)| *weight = *weight * share * *factor);
    largest + total.ln()
}
