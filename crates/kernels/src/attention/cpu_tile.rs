//! Some queries against the keys before them.

use super::geometry::AttentionScores;
use crate::cpu::philox::Dropout;
use crate::cpu::{Matrix, MatrixMut, Real, multiply, multiply_add, simd};

/// Queries that are worked on together.
pub(super) const QUERY_TILE: usize = 48;
/// Keys that are worked on together: their scores with a tile of queries fit the first-level cache.
pub(super) const KEY_BLOCK: usize = 256;
/// Numbers of a row that are worked on together: a vector register of single precision.
pub(super) const LANES: usize = 16;

/// What a thread needs for its tiles.
pub(super) struct Tile<T> {
    pub(super) scale: T,
    pub(super) soft_cap: Option<T>,
    pattern: AttentionScores,
    pub(super) dropout: Option<Dropout>,
    /// Which matrix of weights this is, for dropout.
    pub(super) matrix: u32,
    scores: Vec<T>,
    factors: Vec<T>,
    maxima: [T; QUERY_TILE],
    sums: [T; QUERY_TILE],
}

impl<T: Real> Tile<T> {
    /// For up to `keys` keys.
    pub(super) fn new(keys: usize, scores: AttentionScores, dropout: Option<Dropout>) -> Self {
        let width = padded(keys.min(KEY_BLOCK));
        Self {
            scale: T::from_f64(scores.scale),
            soft_cap: scores.soft_cap.map(T::from_f64),
            pattern: scores,
            dropout,
            matrix: 0,
            scores: vec![T::ZERO; QUERY_TILE * width],
            factors: vec![T::ZERO; width],
            maxima: [T::ZERO; QUERY_TILE],
            sums: [T::ZERO; QUERY_TILE],
        }
    }

    /// Scores become weights that are not normalised yet; the maxima and sums of the rows and the output of earlier
    /// keys are brought up to date. The first query is at position `position`, the first key at `start`; `is_first`
    /// says that there were no keys before.
    #[inline(always)]
    fn weigh(&mut self, keys: usize, position: usize, start: usize, is_first: bool, output: &mut MatrixMut<'_, T>) {
        let rows = output.height();
        for (index, row) in self.scores.chunks_exact_mut(padded(keys)).take(rows).enumerate() {
            let visible = (position + index + 1).saturating_sub(start).min(keys);
            let hidden = self.pattern.first_seen(position + index).saturating_sub(start);
            if hidden >= visible && is_first {
                // All keys of the block lie before the query's window.
                row.fill(T::ZERO);
                (self.maxima[index], self.sums[index]) = (T::from_f64(f64::NEG_INFINITY), T::ZERO);
                continue;
            }
            cap_scores(row, hidden.min(visible), visible, self.soft_cap);
            let earlier = self.maxima[index];
            let maximum = if is_first { largest(row, visible) } else { largest(row, visible).larger(earlier) };
            let sum = exponentials(row, visible, maximum);
            let before = if is_first { T::ZERO } else { self.sums[index] };
            if !is_first && earlier < maximum {
                let correction = (earlier - maximum).exp();
                output.row(index).iter_mut().for_each(|number| *number *= correction);
                self.sums[index] = before * correction + sum;
            } else {
                self.sums[index] = before + sum;
            }
            self.maxima[index] = maximum;
            if let Some(dropout) = &self.dropout {
                let factors = &mut self.factors[..padded(visible)];
                dropout.fill([(position + index) as u32, self.matrix], start, factors);
                row.iter_mut().zip(factors).for_each(|(weight, factor)| *weight *= *factor);
            }
        }
    }

    /// Divides the output by the sums of its weights, and gives their logarithms.
    #[inline(always)]
    fn normalise(&self, output: &mut MatrixMut<'_, T>, log_sum_exp: Option<&mut [T]>) {
        for index in 0..output.height() {
            let factor = T::ONE / self.sums[index];
            output.row(index).iter_mut().for_each(|number| *number *= factor);
        }
        if let Some(log_sum_exp) = log_sum_exp {
            for (index, result) in log_sum_exp.iter_mut().enumerate() {
                *result = self.maxima[index] + self.sums[index].ln();
            }
        }
    }
}

/// Queries `[Q, D]`, the first of which is at position `position`, with transposed keys `[D, keys]` and values `[keys,
/// D]` from position 0 on, of which the later ones are not read, to `[Q, D]` and for each query the logarithm of its
/// sum.
pub(super) fn attend<T: Real>(
    queries: Matrix<'_, T>,
    keys: Matrix<'_, T>,
    values: Matrix<'_, T>,
    position: usize,
    mut output: MatrixMut<'_, T>,
    log_sum_exp: Option<&mut [T]>,
    tile: &mut Tile<T>,
) {
    let count = output.height();
    let seen = position + count;
    // Blocks begin at the same places with and without a window.
    let first = tile.pattern.first_seen(position) / KEY_BLOCK * KEY_BLOCK;
    for start in (first..seen).step_by(KEY_BLOCK) {
        let block = start..seen.min(start + KEY_BLOCK);
        let (length, width) = (block.len(), padded(block.len()));
        let scores = MatrixMut::strided(&mut tile.scores, count, length, width);
        multiply(scores, queries, keys.columns(block.clone()), tile.scale);
        simd(
            #[inline(always)]
            || tile.weigh(length, position, start, start == first, &mut output),
        );
        let weights = Matrix::strided(&tile.scores, count, length, width);
        let product = if start == first { multiply } else { multiply_add };
        product(output.rows(0..count), weights, values.rows(block), T::ONE);
    }
    simd(
        #[inline(always)]
        || tile.normalise(&mut output, log_sum_exp),
    );
}

/// The length of a row of scores, so that loops have no remainder.
pub(super) fn padded(keys: usize) -> usize {
    keys.next_multiple_of(LANES)
}

/// Caps the scores `hidden..visible` of a row; those before and the next ones, up to the padded length, become minus
/// infinity.
#[inline(always)]
pub(super) fn cap_scores<T: Real>(row: &mut [T], hidden: usize, visible: usize, soft_cap: Option<T>) {
    let row = &mut row[..padded(visible)];
    if let Some(cap) = soft_cap {
        let inverse = T::ONE / cap;
        row.iter_mut().for_each(|score| *score = cap * (*score * inverse).tanh());
    }
    row[..hidden].fill(T::from_f64(f64::NEG_INFINITY));
    row[visible..].fill(T::from_f64(f64::NEG_INFINITY));
}

#[inline(always)]
pub(super) fn largest<T: Real>(row: &[T], visible: usize) -> T {
    let mut lanes = [T::from_f64(f64::NEG_INFINITY); LANES];
    for chunk in row[..padded(visible)].as_chunks::<LANES>().0 {
        for lane in 0..LANES {
            lanes[lane] = lanes[lane].larger(chunk[lane]);
        }
    }
    folded(lanes, T::larger)
}

/// The exponentials of the visible scores less `maximum`, and their sum; the others become zero.
#[inline(always)]
pub(super) fn exponentials<T: Real>(row: &mut [T], visible: usize, maximum: T) -> T {
    let mut sums = [T::ZERO; LANES];
    for chunk in row[..padded(visible)].as_chunks_mut::<LANES>().0 {
        for lane in 0..LANES {
            chunk[lane] = (chunk[lane] - maximum).exp();
            sums[lane] += chunk[lane];
        }
    }
    row[visible..].fill(T::ZERO);
    folded(sums, |sum, other| sum + other)
}

/// Joins the upper half of the lanes with the lower one until one is left.
#[inline(always)]
pub(super) fn folded<T: Real>(mut lanes: [T; LANES], join: impl Fn(T, T) -> T) -> T {
    let mut count = LANES / 2;
    while count > 0 {
        for lane in 0..count {
            lanes[lane] = join(lanes[lane], lanes[lane + count]);
        }
        count /= 2;
    }
    lanes[0]
}
