//! Attention of new queries to the keys and values of a cache, on the CPU, for inference.

use super::cpu::{AttentionOptions, transposed};
use super::cpu_tile::{LANES, QUERY_TILE, Tile, attend, cap_scores, exponentials, folded, largest, padded};
use crate::cpu::parallel::for_tasks;
use crate::cpu::{Matrix, MatrixMut, Real, Rows, for_rows, simd};

/// With fewer new tokens each query goes through the keys by itself.
const FEW_STEPS: usize = 8;
/// Keys whose numbers stay in the first-level cache while all queries of a group read them.
const KEY_BLOCK: usize = 64;
/// Columns of the output that are summed in registers.
const COLUMNS: usize = 4 * LANES;

/// The sizes of new queries and of a cache.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CacheSizes<'a> {
    /// New tokens of a row, T, whose keys and values are in the cache already.
    pub(crate) steps: usize,
    /// The position of the first of them in each row, `[B]`.
    pub(crate) starts: &'a [usize],
    /// Tokens that the cache has room for.
    pub(crate) capacity: usize,
    /// Query heads.
    pub(crate) heads: usize,
    /// A divisor of the number of heads.
    pub(crate) key_value_heads: usize,
    /// D.
    pub(crate) head_width: usize,
    /// From one token's queries to the next one's: `heads D`, or more where keys and values stand behind the queries.
    pub(crate) query_columns: usize,
}

impl CacheSizes<'_> {
    fn group(&self) -> usize {
        self.heads / self.key_value_heads
    }

    fn output_columns(&self) -> usize {
        self.heads * self.head_width
    }

    /// The most positions that a row needs.
    fn longest(&self) -> usize {
        self.starts.iter().max().map_or(0, |start| start + self.steps)
    }

    /// The positions that rows need, one with another.
    fn mean(&self) -> usize {
        self.starts.iter().sum::<usize>() / self.starts.len().max(1) + self.steps
    }

    /// The keys or values `[filled, D]` of one head of one row.
    fn filled<'a, T>(&self, cache: &'a [T], row: usize, shared: usize, filled: usize) -> &'a [T] {
        let first = (row * self.key_value_heads + shared) * self.capacity * self.head_width;
        &cache[first..][..filled * self.head_width]
    }
}

/// What [`attention`](super::cpu::attention) gives for the queries at positions `starts[r]..starts[r] + T` of each row r, from
/// keys and values that a cache holds; without dropout.
///
/// `queries` is `[B, T, query_columns]`, of which the first `heads D` columns are used, `keys` and `values` are
/// `[B, key-value heads, capacity, D]`, of which positions from `starts[r] + T` on are not read. `output` `[B, T, heads D]` is
/// overwritten.
pub(crate) fn cached_attention<T: Real>(
    queries: &[T],
    keys: &[T],
    values: &[T],
    sizes: &CacheSizes<'_>,
    options: &AttentionOptions,
    output: &mut [T],
) {
    let CacheSizes { steps, starts, capacity, heads, key_value_heads, head_width, query_columns } = *sizes;
    let (batch, longest) = (starts.len(), sizes.longest());
    assert!(key_value_heads > 0 && heads.is_multiple_of(key_value_heads), "heads share key-value heads evenly");
    assert!(longest <= capacity, "{longest} positions are not in a cache for {capacity}");
    assert!(query_columns >= sizes.output_columns(), "a token's queries fit in its row");
    assert_eq!(queries.len(), batch * steps * query_columns, "the size of the queries");
    assert_eq!(keys.len(), batch * key_value_heads * capacity * head_width, "the size of the keys");
    assert_eq!(values.len(), keys.len(), "the size of the values");
    assert_eq!(output.len(), batch * steps * sizes.output_columns(), "the size of the output");
    assert!(options.dropout.is_none(), "inference drops nothing");
    if output.is_empty() {
        return;
    }
    if steps < FEW_STEPS {
        few_queries(queries, [keys, values], sizes, options, output);
    } else {
        many_queries(queries, [keys, values], sizes, options, output);
    }
}

/// One task for each tile of queries.
fn many_queries<T: Real>(
    queries: &[T],
    [keys, values]: [&[T]; 2],
    sizes: &CacheSizes<'_>,
    options: &AttentionOptions,
    output: &mut [T],
) {
    let CacheSizes { steps, starts, heads, key_value_heads, head_width: width, query_columns, .. } = *sizes;
    let mut tasks = Vec::new();
    for (row, output) in output.chunks_mut(steps * heads * width).enumerate() {
        let tiles = output.chunks_mut(QUERY_TILE * heads * width);
        tasks.extend(tiles.enumerate().map(|(tile, output)| (row, tile * QUERY_TILE, output)));
    }
    let work = starts.len() * heads * steps * sizes.mean() * (width + 16) / 32;
    for_tasks(tasks, work, |(row, first, output)| {
        let count = output.len() / (heads * width);
        let position = starts[row] + first;
        let seen = position + count;
        let (mut tile, mut copy) = (Tile::new(seen, options), Vec::new());
        for shared in 0..key_value_heads {
            let keys = Matrix::new(sizes.filled(keys, row, shared, seen), seen, width);
            let keys = transposed(keys, count * sizes.group(), &mut copy);
            let values = Matrix::new(sizes.filled(values, row, shared, seen), seen, width);
            for head in shared * sizes.group()..(shared + 1) * sizes.group() {
                let queries = &queries[(row * steps + first) * query_columns + head * width..];
                let queries = Matrix::strided(queries, count, width, query_columns);
                let output = MatrixMut::strided(&mut output[head * width..], count, width, heads * width);
                attend(queries, keys, values, position, output, None, &mut tile);
            }
        }
    });
}

/// One query of a group of heads after the other.
fn few_queries<T: Real>(
    queries: &[T],
    [keys, values]: [&[T]; 2],
    sizes: &CacheSizes<'_>,
    options: &AttentionOptions,
    output: &mut [T],
) {
    let CacheSizes { steps, starts, key_value_heads, head_width, query_columns, .. } = *sizes;
    let width = sizes.group() * head_width;
    // Keys and values are read once for a group, whose further queries cost arithmetic. They are read alone and not written,
    // mostly from a cache: all of them are worth a quarter of their count.
    let work = sizes.mean() * head_width * sizes.group().div_ceil(2) / 2;
    for_rows(starts.len() * steps * key_value_heads, work, Rows::new(output, width), |parts, output| {
        let mut weights = vec![T::ZERO; sizes.group() * padded(sizes.longest())];
        for (part, output) in parts.zip(output.data.chunks_exact_mut(width)) {
            let (token, shared) = (part / key_value_heads, part % key_value_heads);
            let row = token / steps;
            let seen = starts[row] + token % steps + 1;
            let group = Group {
                queries: &queries[token * query_columns + shared * width..][..width],
                keys: sizes.filled(keys, row, shared, seen),
                values: sizes.filled(values, row, shared, seen),
                width: head_width,
                scale: T::from_f64(options.scale),
                soft_cap: options.soft_cap.map(T::from_f64),
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
            cap_scores(row, seen, self.soft_cap);
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
