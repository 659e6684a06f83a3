//! Causal self-attention over packed queries, keys and values on the CPU.

use std::ops::Range;

use super::cpu_tile::{LANES, QUERY_TILE, Tile, attend};
use super::geometry::{AttentionHeads, AttentionOptions, AttentionSizes};
use crate::cpu::parallel::for_tasks;
use crate::cpu::{Matrix, MatrixMut, Real, simd};

/// Some queries of one row of the batch, with all heads.
struct Task<'a, T> {
    row: usize,
    queries: Range<usize>,
    /// `[queries, heads D]`.
    output: &'a mut [T],
    /// One for each query, for each head.
    log_sum_exp: Vec<&'a mut [T]>,
}

/// Causal self-attention (Vaswani et al. 2017, <https://arxiv.org/abs/1706.03762>), computed in tiles with a softmax
/// whose maximum and sum are corrected from tile to tile (Dao 2023, <https://arxiv.org/abs/2307.08691>): for each head
///
/// ```text
/// s_ij = scale q_i . k_j for j <= i, or i - window < j <= i, capped
/// L_i  = ln sum_j exp(s_ij)                       y_i = sum_j dropout(exp(s_ij - L_i)) v_j
/// ```
///
/// `packed` is `[B, T, (heads + 2 key-value heads) D]`: the columns of all query heads, of all key heads, of all value
/// heads. `output` `[B, T, heads D]` and `log_sum_exp` `[B, heads, T]` are overwritten.
pub(crate) fn attention<T: Real>(
    packed: &[T],
    sizes: &AttentionSizes,
    options: &AttentionOptions,
    output: &mut [T],
    log_sum_exp: &mut [T],
) {
    let AttentionSizes { batch, steps, heads } = *sizes;
    heads.check();
    assert_eq!(packed.len(), batch * steps * heads.packed_columns(), "the size of queries, keys and values");
    assert_eq!(output.len(), batch * steps * heads.output_columns(), "the size of the output");
    assert_eq!(log_sum_exp.len(), batch * heads.queries * steps, "the size of the log-sum-exp");
    if output.is_empty() {
        return;
    }
    let length = steps * heads.packed_columns();
    for_tasks(tasks(sizes, output, log_sum_exp), sizes.work(2), |task| {
        attend_some(&packed[task.row * length..][..length], sizes, options, task);
    });
}

/// One task for each row of the batch if that gives threads enough to choose from, else several of about as much work.
fn tasks<'a, T>(sizes: &AttentionSizes, output: &'a mut [T], log_sum_exp: &'a mut [T]) -> Vec<Task<'a, T>> {
    let AttentionSizes { batch, steps, heads } = *sizes;
    let threads = rayon::current_num_threads();
    let parts = if batch >= 2 * threads { 1 } else { (4 * threads).div_ceil(batch) };
    let cuts = even_cuts(steps, parts);
    let outputs = output.chunks_mut(steps * heads.output_columns());
    let sums = log_sum_exp.chunks_mut(steps * heads.queries);
    let mut tasks = Vec::with_capacity(batch * parts);
    for (row, (mut output, sums)) in outputs.zip(sums).enumerate() {
        let mut sums: Vec<_> = sums.chunks_mut(steps).collect();
        for cut in cuts.windows(2) {
            let queries = cut[0]..cut[1];
            let part = output.split_off_mut(..queries.len() * heads.output_columns()).unwrap_or_default();
            let log_sum_exp =
                sums.iter_mut().map(|sums| sums.split_off_mut(..queries.len()).unwrap_or_default()).collect();
            tasks.push(Task { row, queries, output: part, log_sum_exp });
        }
    }
    tasks
}

/// 0, ..., `steps`: where queries are cut into up to `parts` parts with as many pairs of a query and an earlier key, at
/// whole tiles.
fn even_cuts(steps: usize, parts: usize) -> Vec<usize> {
    let at = |part: usize| {
        let cut = steps as f64 * (part as f64 / parts as f64).sqrt();
        (cut as usize).next_multiple_of(QUERY_TILE).min(steps)
    };
    let mut cuts: Vec<usize> = (0..parts).map(at).chain([steps]).collect();
    cuts.dedup();
    cuts
}

/// `window` is the task's row of the batch, packed.
fn attend_some<T: Real>(window: &[T], sizes: &AttentionSizes, options: &AttentionOptions, task: Task<'_, T>) {
    let Task { row, queries, output, mut log_sum_exp } = task;
    let AttentionHeads { queries: heads, key_values, width } = sizes.heads;
    let (group, seen) = (sizes.heads.group(), queries.end);
    let mut tile = Tile::new(seen, options.scores, options.dropout);
    let mut copy = Vec::new();
    for shared in 0..key_values {
        let keys = transposed(sizes.keys(window, shared).rows(0..seen), queries.len() * group, &mut copy);
        let values = sizes.values(window, shared).rows(0..seen);
        for head in shared * group..(shared + 1) * group {
            let all = sizes.queries(window, head);
            tile.matrix = (row * heads + head) as u32;
            let mut output = MatrixMut::strided(&mut output[head * width..], queries.len(), width, heads * width);
            for first in (0..queries.len()).step_by(QUERY_TILE) {
                let part = first..queries.len().min(first + QUERY_TILE);
                let positions = queries.start + part.start..queries.start + part.end;
                let sums = Some(&mut log_sum_exp[head][part.clone()]);
                attend(all.rows(positions.clone()), keys, values, positions.start, output.rows(part), sums, &mut tile);
            }
        }
    }
}

/// `[T, D]` as `[D, T]`, copied if enough queries use it for that to pay: products are faster when the numbers of a row
/// of their right side are neighbours.
pub(super) fn transposed<'a, T: Real>(matrix: Matrix<'a, T>, queries: usize, copy: &'a mut Vec<T>) -> Matrix<'a, T> {
    if queries <= 2 * QUERY_TILE {
        return matrix.transposed();
    }
    let [rows, columns] = matrix.sizes();
    copy.resize(rows * columns, T::ZERO);
    simd(
        #[inline(always)]
        || copy_transposed(matrix, copy),
    );
    Matrix::new(copy, columns, rows)
}

/// By blocks of `LANES` rows, whose parts of a column are written together.
#[inline(always)]
fn copy_transposed<T: Real>(matrix: Matrix<'_, T>, copy: &mut [T]) {
    let [rows, columns] = matrix.sizes();
    let whole = rows - rows % LANES;
    for first in (0..whole).step_by(LANES) {
        let block: [&[T]; LANES] = std::array::from_fn(|lane| matrix.row(first + lane));
        for column in 0..columns {
            let numbers: [T; LANES] = std::array::from_fn(|lane| block[lane][column]);
            copy[column * rows + first..][..LANES].copy_from_slice(&numbers);
        }
    }
    for row in whole..rows {
        for (column, number) in matrix.row(row).iter().enumerate() {
            copy[column * rows + row] = *number;
        }
    }
}
