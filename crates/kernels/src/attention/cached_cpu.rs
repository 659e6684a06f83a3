//! Attention of new queries to the keys and values of a cache, on the CPU, for inference.

use super::cpu::transposed;
use super::cpu_tile::{LANES, QUERY_TILE, Tile, attend, cap_scores, exponentials, folded, largest, padded};
use super::geometry::{AttentionHeads, AttentionScores, CacheSizes};
use crate::cpu::parallel::for_tasks;
use crate::cpu::{Matrix, MatrixMut, Real, Rows, for_rows, simd};

/// With fewer new tokens each query goes through the keys by itself.
const FEW_STEPS: usize = 8;
/// Keys whose numbers stay in the first-level cache while all queries of a group read them.
const KEY_BLOCK: usize = 64;
/// Columns of the output that are summed in registers.
const COLUMNS: usize = 4 * LANES;

/// Keys or values of a cache, `[B, key-value heads, capacity, D]`, as they are kept.
pub(crate) trait CachedNumbers<T>: Sync {
    /// How many numbers there are.
    fn len(&self) -> usize;

    /// `count` vectors from number `first` on, `[count, D]`: in place, or in `copy`.
    fn vectors<'a>(&'a self, first: usize, count: usize, copy: &'a mut Vec<T>) -> &'a [T];
}

/// Numbers that lie there as they are, with D.
pub(crate) struct Plain<'a, T>(pub(crate) &'a [T], pub(crate) usize);

impl<T: Real> CachedNumbers<T> for Plain<'_, T> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn vectors<'a>(&'a self, first: usize, count: usize, _: &'a mut Vec<T>) -> &'a [T] {
        &self.0[first * self.1..(first + count) * self.1]
    }
}

/// What [`attention`](super::cpu::attention) gives for the queries at positions `starts[r]..starts[r] + T` of each row
/// r, from keys and values that a cache holds; without dropout.
///
/// `queries` is `[B, T, heads D]`, `keys` and `values` are `[B, key-value heads, capacity, D]`, of which positions from
/// `starts[r] + T` on are not read. `output` `[B, T, heads D]` is overwritten.
pub(crate) fn cached_attention<T: Real, C: CachedNumbers<T>>(
    queries: &[T],
    [keys, values]: [C; 2],
    sizes: &CacheSizes<'_>,
    scores: AttentionScores,
    output: &mut [T],
) {
    let CacheSizes { steps, starts, capacity, heads } = *sizes;
    let (batch, longest) = (starts.len(), sizes.longest());
    heads.check();
    assert!(longest <= capacity, "{longest} positions are not in a cache for {capacity}");
    assert_eq!(queries.len(), batch * steps * heads.output_columns(), "the size of the queries");
    assert_eq!(keys.len(), batch * heads.key_values * capacity * heads.width, "the size of the keys");
    assert_eq!(values.len(), keys.len(), "the size of the values");
    assert_eq!(output.len(), queries.len(), "the size of the output");
    if output.is_empty() {
        return;
    }
    if steps < FEW_STEPS {
        few_queries(queries, [&keys, &values], sizes, scores, output);
    } else {
        many_queries(queries, [&keys, &values], sizes, scores, output);
    }
}

/// One task for each tile of queries.
fn many_queries<T: Real, C: CachedNumbers<T>>(
    queries: &[T],
    [keys, values]: [&C; 2],
    sizes: &CacheSizes<'_>,
    scores: AttentionScores,
    output: &mut [T],
) {
    let CacheSizes { steps, starts, heads, .. } = *sizes;
    let AttentionHeads { key_values, width, .. } = heads;
    let (columns, group) = (heads.output_columns(), heads.group());
    let mut tasks = Vec::new();
    for (row, output) in output.chunks_mut(steps * columns).enumerate() {
        let tiles = output.chunks_mut(QUERY_TILE * columns);
        tasks.extend(tiles.enumerate().map(|(tile, output)| (row, tile * QUERY_TILE, output)));
    }
    let work = starts.len() * heads.queries * steps * sizes.mean() * (width + 16) / 32;
    for_tasks(tasks, work, |(row, first, output)| {
        let count = output.len() / columns;
        let position = starts[row] + first;
        let seen = position + count;
        let (mut tile, mut copy) = (Tile::new(seen, scores, None), Vec::new());
        let [mut key_copy, mut value_copy] = [Vec::new(), Vec::new()];
        for shared in 0..key_values {
            let start = sizes.first(row, shared);
            let keys = Matrix::new(keys.vectors(start, seen, &mut key_copy), seen, width);
            let keys = transposed(keys, count * group, &mut copy);
            let values = Matrix::new(values.vectors(start, seen, &mut value_copy), seen, width);
            for head in shared * group..(shared + 1) * group {
                let queries = &queries[(row * steps + first) * columns + head * width..];
                let queries = Matrix::strided(queries, count, width, columns);
                let output = MatrixMut::strided(&mut output[head * width..], count, width, columns);
                attend(queries, keys, values, position, output, None, &mut tile);
            }
        }
    });
}

/// One query of a group of heads after the other.
fn few_queries<T: Real, C: CachedNumbers<T>>(
    queries: &[T],
    [keys, values]: [&C; 2],
    sizes: &CacheSizes<'_>,
    scores: AttentionScores,
    output: &mut [T],
) {
    let CacheSizes { steps, starts, heads, .. } = *sizes;
    let AttentionHeads { key_values, width: head_width, .. } = heads;
    let width = heads.group() * head_width;
    // Keys and values are read once for a group, whose further queries cost arithmetic. They are only read,
    // mostly from a cache: all of them are worth a quarter of their count.
    let work = sizes.mean() * head_width * heads.group().div_ceil(2) / 2;
    for_rows(starts.len() * steps * key_values, work, Rows::new(output, width), |parts, output| {
        let mut weights = vec![T::ZERO; heads.group() * padded(sizes.longest())];
        let [mut key_copy, mut value_copy] = [Vec::new(), Vec::new()];
        for (part, output) in parts.zip(output.data.chunks_exact_mut(width)) {
            let (token, shared) = (part / key_values, part % key_values);
            let row = token / steps;
            let seen = starts[row] + token % steps + 1;
            let hidden = scores.first_seen(seen - 1);
            let (first, count) = (sizes.first(row, shared) + hidden, seen - hidden);
            let group = Group {
                queries: &queries[token * heads.output_columns() + shared * width..][..width],
                keys: keys.vectors(first, count, &mut key_copy),
                values: values.vectors(first, count, &mut value_copy),
                width: head_width,
                scale: T::from_f64(scores.scale),
                soft_cap: scores.soft_cap.map(T::from_f64),
            };
            simd(
                #[inline(always)]
                || group.attend(&mut weights, output),
            );
        }
    });
}

/// The queries of one token that share a key-value head.
struct Group<'a, T> {
    /// `[group, D]`.
    queries: &'a [T],
    /// `[seen, D]`.
    keys: &'a [T],
    /// `[seen, D]`.
    values: &'a [T],
    /// D.
    width: usize,
    scale: T,
    soft_cap: Option<T>,
}

impl<T: Real> Group<'_, T> {
    /// `output` is `[group, D]`.
    #[inline(always)]
    fn attend(&self, weights: &mut [T], output: &mut [T]) {
        let seen = self.keys.len() / self.width;
        let stride = padded(seen);
        self.set_scores(weights, stride);
        for (row, output) in weights.chunks_exact_mut(stride).zip(output.chunks_exact_mut(self.width)) {
            cap_scores(row, 0, seen, self.soft_cap);
            let maximum = largest(row, seen);
            let factor = T::ONE / exponentials(row, seen, maximum);
            row.iter_mut().for_each(|weight| *weight *= factor);
            output.fill(T::ZERO);
        }
        for (block, values) in self.values.chunks(KEY_BLOCK * self.width).enumerate() {
            for (row, output) in weights.chunks_exact(stride).zip(output.chunks_exact_mut(self.width)) {
                add_weighted(&row[block * KEY_BLOCK..], values, output);
            }
        }
    }

    #[inline(always)]
    fn set_scores(&self, weights: &mut [T], stride: usize) {
        for (block, keys) in self.keys.chunks(KEY_BLOCK * self.width).enumerate() {
            for (row, query) in weights.chunks_exact_mut(stride).zip(self.queries.chunks_exact(self.width)) {
                for (score, key) in row[block * KEY_BLOCK..].iter_mut().zip(keys.chunks_exact(self.width)) {
                    *score = self.scale * dot(query, key);
                }
            }
        }
    }
}

#[inline(always)]
fn dot<T: Real>(query: &[T], key: &[T]) -> T {
    let mut sums = [T::ZERO; LANES];
    let ((query, query_rest), (key, key_rest)) = (query.as_chunks::<LANES>(), key.as_chunks::<LANES>());
    for (query, key) in query.iter().zip(key) {
        for lane in 0..LANES {
            sums[lane] = query[lane].mul_add(key[lane], sums[lane]);
        }
    }
    let rest = query_rest.iter().zip(key_rest);
    rest.fold(folded(sums, |sum, other| sum + other), |sum, (query, key)| query.mul_add(*key, sum))
}

/// `output += weights values`, for values `[keys, D]` and at least as many weights.
#[inline(always)]
fn add_weighted<T: Real>(weights: &[T], values: &[T], output: &mut [T]) {
    let width = output.len();
    let (columns, _) = output.as_chunks_mut::<COLUMNS>();
    let whole = columns.len() * COLUMNS;
    for (index, columns) in columns.iter_mut().enumerate() {
        add_columns(weights, values, width, index * COLUMNS, columns);
    }
    let (columns, rest) = output[whole..].as_chunks_mut::<LANES>();
    for (index, columns) in columns.iter_mut().enumerate() {
        add_columns(weights, values, width, whole + index * LANES, columns);
    }
    let first = width - rest.len();
    for (weight, value) in weights.iter().zip(values.chunks_exact(width)) {
        rest.iter_mut().zip(&value[first..]).for_each(|(sum, number)| *sum = weight.mul_add(*number, *sum));
    }
}

/// The columns from `first` on of [`add_weighted`].
#[inline(always)]
fn add_columns<T: Real, const N: usize>(weights: &[T], values: &[T], width: usize, first: usize, output: &mut [T; N]) {
    let mut sums = *output;
    for (weight, value) in weights.iter().zip(values.chunks_exact(width)) {
        let value = &value[first..][..N];
        for column in 0..N {
            sums[column] = weight.mul_add(value[column], sums[column]);
        }
    }
    *output = sums;
}
