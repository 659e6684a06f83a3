//! The gradient of causal self-attention on the CPU.

use std::ops::Range;

use super::cpu::transposed;
use super::cpu_tile::{QUERY_TILE, padded};
use super::geometry::{AttentionHeads, AttentionOptions, AttentionScores, AttentionSizes};
use crate::cpu::parallel::for_tasks;
use crate::cpu::philox::Dropout;
use crate::cpu::reduce::sum_of_pairs;
use crate::cpu::{Matrix, MatrixMut, Real, Rows, for_rows, multiply, multiply_add, simd};

/// Keys that are worked on together: two matrices of scores with a tile of queries fit the caches.
const KEY_BLOCK: usize = 256;

/// What the forward pass read and wrote, and the gradient of what it wrote.
#[derive(Clone, Copy)]
pub(crate) struct AttentionResult<'a, T> {
    /// `[B, T, (heads + 2 key-value heads) D]`.
    pub(crate) packed: &'a [T],
    /// `[B, T, heads D]`.
    pub(crate) output: &'a [T],
    /// `[B, heads, T]`.
    pub(crate) log_sum_exp: &'a [T],
    /// `[B, T, heads D]`.
    pub(crate) output_gradient: &'a [T],
}

/// The gradient of [`attention`](super::cpu::attention) with respect to its packed queries, keys and values, which is
/// overwritten. Weights are computed again in tiles (Dao 2023, <https://arxiv.org/abs/2307.08691>, algorithm 2), and so
/// are the factors of dropout: with g the gradient of the output y, f the factors and c the capped scores,
///
/// ```text
/// p_ij  = exp(c_ij - L_i)                        dv_j = sum_i f_ij p_ij g_i
/// ds_ij = p_ij (f_ij g_i . v_j - g_i . y_i) (1 - (c_ij / cap)^2)
/// dq_i  = scale sum_j ds_ij k_j                  dk_j = scale sum_i ds_ij q_i
/// ```
///
/// The same numbers give the same bits on any number of threads: what is summed is summed by one thread, in the same
/// order.
pub(crate) fn attention_backward<T: Real>(
    result: &AttentionResult<'_, T>,
    sizes: &AttentionSizes,
    options: &AttentionOptions,
    gradient: &mut [T],
) {
    let AttentionSizes { batch, steps, heads } = *sizes;
    let (tokens, columns) = (batch * steps, heads.packed_columns());
    assert_eq!(gradient.len(), tokens * columns, "the size of the gradient");
    assert_eq!(result.packed.len(), tokens * columns, "the size of queries, keys and values");
    assert_eq!(result.output.len(), tokens * heads.output_columns(), "the size of the output");
    assert_eq!(result.output_gradient.len(), tokens * heads.output_columns(), "the size of the output's gradient");
    assert_eq!(result.log_sum_exp.len(), tokens * heads.queries, "the size of the log-sum-exp");
    if gradient.is_empty() {
        return;
    }
    if batch >= 2 * rayon::current_num_threads() || heads.key_values == 1 {
        by_row(result, sizes, options, gradient);
    } else {
        by_group(result, sizes, options, gradient);
    }
}

/// One task for each row of the batch.
fn by_row<T: Real>(
    result: &AttentionResult<'_, T>,
    sizes: &AttentionSizes,
    options: &AttentionOptions,
    gradient: &mut [T],
) {
    let heads = sizes.heads;
    let tasks: Vec<_> = gradient.chunks_mut(sizes.steps * heads.packed_columns()).enumerate().collect();
    for_tasks(tasks, sizes.work(5), |(row, gradient)| {
        let mut tile = GradientTile::new(sizes, options);
        gradient.fill(T::ZERO);
        for shared in 0..heads.key_values {
            let mut target = Target { window: gradient, sizes: *sizes, first: shared * heads.group(), shared };
            group_gradient(&result.row(row, sizes), sizes, [row, shared], &mut target, &mut tile);
        }
    });
}

/// One task for each key-value head of each row, for batches that are too small for [`by_row`]. A task's part of the
/// gradient is not in one piece, so it is computed elsewhere and copied.
fn by_group<T: Real>(
    result: &AttentionResult<'_, T>,
    sizes: &AttentionSizes,
    options: &AttentionOptions,
    gradient: &mut [T],
) {
    let steps = sizes.steps;
    let AttentionHeads { key_values, width, .. } = sizes.heads;
    let group = AttentionHeads { queries: sizes.heads.group(), key_values: 1, width };
    let part_columns = group.packed_columns();
    let mut parts = vec![T::ZERO; gradient.len()];
    let tasks: Vec<_> = parts.chunks_mut(steps * part_columns).enumerate().collect();
    for_tasks(tasks, sizes.work(5), |(part, window)| {
        let (row, shared) = (part / key_values, part % key_values);
        let mut target = Target { window, sizes: AttentionSizes { heads: group, ..*sizes }, first: 0, shared: 0 };
        let mut tile = GradientTile::new(sizes, options);
        group_gradient(&result.row(row, sizes), sizes, [row, shared], &mut target, &mut tile);
    });
    let columns = sizes.heads.packed_columns();
    for_rows(sizes.batch * steps, columns, Rows::new(gradient, columns), |tokens, gradient| {
        for (token, gradient) in tokens.zip(gradient.data.chunks_exact_mut(columns)) {
            let (queries, others) = gradient.split_at_mut(sizes.heads.output_columns());
            let (keys, values) = others.split_at_mut(key_values * width);
            let queries = queries.chunks_exact_mut(group.output_columns());
            let others = keys.chunks_exact_mut(width).zip(values.chunks_exact_mut(width));
            for (shared, (queries, (keys, values))) in queries.zip(others).enumerate() {
                let row = (token / steps * key_values + shared) * steps + token % steps;
                let part = &parts[row * part_columns..][..part_columns];
                let (from_queries, others) = part.split_at(queries.len());
                queries.copy_from_slice(from_queries);
                keys.copy_from_slice(&others[..width]);
                values.copy_from_slice(&others[width..]);
            }
        }
    });
}

impl<'a, T> AttentionResult<'a, T> {
    /// One row of the batch.
    fn row(&self, row: usize, sizes: &AttentionSizes) -> Self {
        fn part<T>(numbers: &[T], row: usize, length: usize) -> &[T] {
            &numbers[row * length..][..length]
        }
        let AttentionSizes { steps, heads, .. } = *sizes;
        let (packed, output) = (steps * heads.packed_columns(), steps * heads.output_columns());
        Self {
            packed: part(self.packed, row, packed),
            output: part(self.output, row, output),
            log_sum_exp: part(self.log_sum_exp, row, steps * heads.queries),
            output_gradient: part(self.output_gradient, row, output),
        }
    }
}

/// Where the gradient of a group of query heads and of the key-value head that they share is added.
struct Target<'a, T> {
    /// Packed tokens.
    window: &'a mut [T],
    sizes: AttentionSizes,
    /// The first query head there.
    first: usize,
    /// The key-value head there.
    shared: usize,
}

impl<T> Target<'_, T> {
    fn queries(&mut self, index: usize) -> MatrixMut<'_, T> {
        self.sizes.queries_mut(self.window, self.first + index)
    }

    fn keys(&mut self) -> MatrixMut<'_, T> {
        self.sizes.keys_mut(self.window, self.shared)
    }

    fn values(&mut self) -> MatrixMut<'_, T> {
        self.sizes.values_mut(self.window, self.shared)
    }
}

/// The gradient of the query heads that share key-value head `shared` of row `row`, and of that head.
fn group_gradient<T: Real>(
    result: &AttentionResult<'_, T>,
    sizes: &AttentionSizes,
    [row, shared]: [usize; 2],
    target: &mut Target<'_, T>,
    tile: &mut GradientTile<T>,
) {
    let AttentionSizes { steps, heads, .. } = *sizes;
    let group = heads.group();
    let (mut keys_copy, mut values_copy) = (Vec::new(), Vec::new());
    let keys = sizes.keys(result.packed, shared);
    let transposed_keys = transposed(keys, steps * group, &mut keys_copy);
    let transposed_values = transposed(sizes.values(result.packed, shared), steps * group, &mut values_copy);
    for index in 0..group {
        let head = shared * group + index;
        let all = HeadView {
            queries: sizes.queries(result.packed, head),
            keys,
            transposed_keys,
            transposed_values,
            output: sizes.output_head(result.output, head),
            output_gradient: sizes.output_head(result.output_gradient, head),
            log_sum_exp: &result.log_sum_exp[head * steps..][..steps],
        };
        tile.matrix = (row * heads.queries + head) as u32;
        for first in (0..steps).step_by(QUERY_TILE) {
            add_tile(&all, first..steps.min(first + QUERY_TILE), index, target, tile);
        }
    }
}

/// What belongs to one query head.
struct HeadView<'a, T> {
    queries: Matrix<'a, T>,
    keys: Matrix<'a, T>,
    transposed_keys: Matrix<'a, T>,
    transposed_values: Matrix<'a, T>,
    output: Matrix<'a, T>,
    output_gradient: Matrix<'a, T>,
    log_sum_exp: &'a [T],
}

/// What a thread needs for its tiles.
struct GradientTile<T> {
    scale: T,
    soft_cap: Option<T>,
    pattern: AttentionScores,
    dropout: Option<Dropout>,
    /// Which matrix of weights this is, for dropout.
    matrix: u32,
    /// Scores, then weights.
    weights: Vec<T>,
    /// The gradient of the weights, then of the scores.
    gradient: Vec<T>,
    factors: Vec<T>,
    /// g_i . y_i.
    products: [T; QUERY_TILE],
}

/// Adds the part of the gradient that some queries of head `index` of a group cause.
fn add_tile<T: Real>(
    head: &HeadView<'_, T>,
    positions: Range<usize>,
    index: usize,
    target: &mut Target<'_, T>,
    tile: &mut GradientTile<T>,
) {
    let (count, scale) = (positions.len(), tile.scale);
    let queries = head.queries.rows(positions.clone());
    let output_gradient = head.output_gradient.rows(positions.clone());
    simd(
        #[inline(always)]
        || tile.set_products(head.output.rows(positions.clone()), output_gradient),
    );
    let first = tile.pattern.first_seen(positions.start) / KEY_BLOCK * KEY_BLOCK;
    for start in (first..positions.end).step_by(KEY_BLOCK) {
        let block = start..positions.end.min(start + KEY_BLOCK);
        let (length, width) = (block.len(), padded(block.len()));
        let scores = MatrixMut::strided(&mut tile.weights, count, length, width);
        multiply(scores, queries, head.transposed_keys.columns(block.clone()), scale);
        let gradient = MatrixMut::strided(&mut tile.gradient, count, length, width);
        multiply(gradient, output_gradient, head.transposed_values.columns(block.clone()), T::ONE);
        simd(
            #[inline(always)]
            || tile.differentiate(length, positions.start, start, &head.log_sum_exp[positions.clone()]),
        );
        let weights = Matrix::strided(&tile.weights, count, length, width);
        let gradient = Matrix::strided(&tile.gradient, count, length, width);
        multiply_add(target.values().rows(block.clone()), weights.transposed(), output_gradient, T::ONE);
        multiply_add(target.keys().rows(block.clone()), gradient.transposed(), queries, scale);
        let product = if start == first { multiply } else { multiply_add };
        product(target.queries(index).rows(positions.clone()), gradient, head.keys.rows(block), scale);
    }
}

impl<T: Real> GradientTile<T> {
    fn new(sizes: &AttentionSizes, options: &AttentionOptions) -> Self {
        let width = padded(sizes.steps.min(KEY_BLOCK));
        Self {
            scale: T::from_f64(options.scores.scale),
            soft_cap: options.scores.soft_cap.map(T::from_f64),
            pattern: options.scores,
            dropout: options.dropout,
            matrix: 0,
            weights: vec![T::ZERO; QUERY_TILE * width],
            gradient: vec![T::ZERO; QUERY_TILE * width],
            factors: vec![T::ONE; width],
            products: [T::ZERO; QUERY_TILE],
        }
    }

    #[inline(always)]
    fn set_products(&mut self, output: Matrix<'_, T>, output_gradient: Matrix<'_, T>) {
        let [rows, _] = output.sizes();
        for index in 0..rows {
            self.products[index] = sum_of_pairs(output.row(index), output_gradient.row(index), |a, b| a * b);
        }
    }

    /// Scores become weights with dropout, and the gradient of the weights becomes that of the scores. The first query
    /// is at position `position`, the first key at `start`.
    #[inline(always)]
    fn differentiate(&mut self, keys: usize, position: usize, start: usize, log_sum_exp: &[T]) {
        let width = padded(keys);
        let rows = self.weights.chunks_exact_mut(width).zip(self.gradient.chunks_exact_mut(width));
        for (index, ((weights, gradient), log_sum_exp)) in rows.zip(log_sum_exp).enumerate() {
            let visible = (position + index + 1).saturating_sub(start).min(keys);
            let hidden = self.pattern.first_seen(position + index).saturating_sub(start).min(visible);
            let factors = &mut self.factors[..padded(visible)];
            if let Some(dropout) = &self.dropout {
                dropout.fill([(position + index) as u32, self.matrix], start, factors);
            }
            let row = ScoreRow { weights, gradient, factors, log_sum_exp: *log_sum_exp, product: self.products[index] };
            match self.soft_cap {
                Some(cap) => row.differentiate(|score| {
                    let ratio = (score / cap).tanh();
                    (cap * ratio, T::ONE - ratio * ratio)
                }),
                None => row.differentiate(|score| (score, T::ONE)),
            }
            for numbers in [weights, gradient] {
                numbers[..hidden].fill(T::ZERO);
                numbers[visible..].fill(T::ZERO);
            }
        }
    }
}

/// One query's scores and weights.
struct ScoreRow<'a, T> {
    weights: &'a mut [T],
    gradient: &'a mut [T],
    factors: &'a [T],
    log_sum_exp: T,
    product: T,
}

impl<T: Real> ScoreRow<'_, T> {
    /// `cap` gives the capped score and its derivative.
    #[inline(always)]
    fn differentiate(self, cap: impl Fn(T) -> (T, T)) {
        let rows = self.weights.iter_mut().zip(self.gradient.iter_mut()).zip(self.factors);
        for ((weight, gradient), factor) in rows {
            let (score, derivative) = cap(*weight);
            let probability = (score - self.log_sum_exp).exp();
            *weight = probability * *factor;
            *gradient = probability * derivative * (*gradient * *factor - self.product);
        }
    }
}
