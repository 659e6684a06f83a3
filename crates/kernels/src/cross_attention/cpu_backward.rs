//! The gradient of attention to the keys of another sequence on the CPU.

use std::ops::Range;

use super::cpu::{Inputs, QUERY_TILE, Sizes};
use crate::cpu::parallel::for_tasks;
use crate::cpu::reduce::sum_of_pairs;
use crate::cpu::{Matrix, MatrixMut, Real, multiply, multiply_add, simd};

/// What the forward pass wrote, and the gradient of its output.
#[derive(Clone, Copy)]
pub(super) struct Written<'a, T> {
    /// `[B, Q, queries D]`.
    pub(super) output: &'a [T],
    /// `[B, queries, Q]`.
    pub(super) logs: &'a [T],
    /// `[B, Q, queries D]`.
    pub(super) gradient: &'a [T],
}

/// Where the gradients of all rows go, all zeros before.
pub(super) struct Found<'a, T> {
    /// `[B, Q, queries D]`.
    pub(super) query: &'a mut [T],
    /// `[B, K, 2 key-value heads D]`.
    pub(super) keys_and_values: &'a mut [T],
    /// `[B, queries, Q, K]`; empty if there is no bias.
    pub(super) bias: &'a mut [T],
}

/// The gradients, by the formulas of [causal attention](crate::attention): weights are computed again, in tiles of
/// queries.
pub(super) fn cross_attention_backward<T: Real>(
    inputs: &Inputs<'_, T>,
    written: &Written<'_, T>,
    sizes: &Sizes<'_>,
    found: Found<'_, T>,
) {
    let [query, keys, bias] = sizes.row_lengths();
    let mut of_bias = found.bias.chunks_mut(bias);
    let rows = found.query.chunks_mut(query).zip(found.keys_and_values.chunks_mut(keys));
    let rows =
        rows.map(|(query, keys_and_values)| Found { query, keys_and_values, bias: of_bias.next().unwrap_or_default() });
    for_tasks(rows.enumerate().collect(), sizes.work(5), |(row, mut found)| {
        let inputs = inputs.row(row, sizes);
        let logs = sizes.heads.queries * sizes.queries;
        let written = Written {
            output: &written.output[row * query..][..query],
            logs: &written.logs[row * logs..][..logs],
            gradient: &written.gradient[row * query..][..query],
        };
        let room = QUERY_TILE.min(sizes.queries) * sizes.keys;
        let mut tile =
            Tile { weights: vec![T::ZERO; room], scores: vec![T::ZERO; room], factors: vec![T::ONE; sizes.keys] };
        for head in 0..sizes.heads.queries {
            for first in (0..sizes.queries).step_by(QUERY_TILE) {
                let queries = first..sizes.queries.min(first + QUERY_TILE);
                tile.add([row, head], queries, sizes, &inputs, &written, &mut found);
            }
        }
    });
}

/// What a thread needs for some queries of a head.
struct Tile<T> {
    /// Scores, then weights.
    weights: Vec<T>,
    /// The gradient of the weights, then of the scores.
    scores: Vec<T>,
    factors: Vec<T>,
}

impl<T: Real> Tile<T> {
    /// Adds the part of the gradients that some queries of a head cause.
    fn add(
        &mut self,
        [row, head]: [usize; 2],
        range: Range<usize>,
        sizes: &Sizes<'_>,
        inputs: &Inputs<'_, T>,
        written: &Written<'_, T>,
        found: &mut Found<'_, T>,
    ) {
        let (count, most) = (range.len(), sizes.most(row, &range));
        let (shared, scale) = (head / sizes.heads.group(), T::from_f64(sizes.scale));
        let of_values = sizes.heads.key_values + shared;
        let keys = sizes.shared(inputs.keys_and_values, shared, most);
        let values = sizes.shared(inputs.keys_and_values, of_values, most);
        let queries = sizes.head(inputs.query, head).rows(range.clone());
        let gradient = sizes.head(written.gradient, head).rows(range.clone());
        let output = sizes.head(written.output, head).rows(range.clone());
        let room = count * most;
        multiply(MatrixMut::new(&mut self.weights[..room], count, most), queries, keys.transposed(), scale);
        multiply(MatrixMut::new(&mut self.scores[..room], count, most), gradient, values.transposed(), T::ONE);
        for (index, query) in range.clone().enumerate() {
            let [weights, scores] = [&mut self.weights, &mut self.scores].map(|part| &mut part[index * most..][..most]);
            let seen = sizes.seen.count(row, query);
            if let Some(dropout) = &sizes.dropout {
                dropout.fill([query as u32, (row * sizes.heads.queries + head) as u32], 0, &mut self.factors[..seen]);
            }
            let line = Line {
                weights: &mut weights[..seen],
                scores: &mut scores[..seen],
                bias: inputs.bias_of(sizes, head, query),
                factors: &self.factors[..seen],
                log: written.logs[head * sizes.queries + query],
            };
            simd(
                #[inline(always)]
                || line.differentiate(output.row(index), gradient.row(index)),
            );
            weights[seen..].fill(T::ZERO);
            scores[seen..].fill(T::ZERO);
            if !found.bias.is_empty() {
                let first = (head * sizes.queries + query) * sizes.keys;
                found.bias[first..][..most].copy_from_slice(scores);
            }
        }
        let weights = Matrix::new(&self.weights[..room], count, most);
        let scores = Matrix::new(&self.scores[..room], count, most);
        let target = &mut *found.keys_and_values;
        multiply_add(sizes.shared_mut(target, of_values, most), weights.transposed(), gradient, T::ONE);
        multiply_add(sizes.shared_mut(target, shared, most), scores.transposed(), queries, scale);
        multiply(sizes.head_mut(found.query, head).rows(range), scores, keys, scale);
    }
}

/// One query's scores and weights.
struct Line<'a, T> {
    weights: &'a mut [T],
    scores: &'a mut [T],
    bias: Option<&'a [T]>,
    factors: &'a [T],
    log: T,
}

impl<T: Real> Line<'_, T> {
    /// Scores become weights with dropout, and the gradient of the weights becomes that of the scores.
    #[inline(always)]
    fn differentiate(self, output: &[T], gradient: &[T]) {
        if let Some(bias) = self.bias {
            self.weights.iter_mut().zip(bias).for_each(|(score, bias)| *score += *bias);
        }
        let product = sum_of_pairs(output, gradient, |output, gradient| output * gradient);
        for ((weight, score), factor) in self.weights.iter_mut().zip(self.scores).zip(self.factors) {
            let probability = (*weight - self.log).exp();
            *weight = probability * *factor;
            *score = probability * (*score * *factor - product);
        }
    }
}
