//! What attention works on: heads side by side, how they are scored, and where each lies in memory.

use crate::cpu::philox::Dropout;
use crate::cpu::{Matrix, MatrixMut};

/// How queries, keys and values lie side by side: D neighbouring columns for each query head, then for each key head,
/// then for each value head. `queries / key_values` neighbouring query heads share one key-value head (Ainslie et al.
/// 2023, <https://arxiv.org/abs/2305.13245>).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AttentionHeads {
    /// Query heads.
    pub queries: usize,
    /// Key-value heads, of which the query heads are a multiple.
    pub key_values: usize,
    /// D, the width of each.
    pub width: usize,
}

/// Which queries and keys make a score, and how.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AttentionScores {
    /// What the product of query and key is multiplied by, usually D^(-1/2).
    pub scale: f64,
    /// c in c tanh(score / c), if any.
    pub soft_cap: Option<f64>,
    /// How many keys a query sees, its own position's and those before it (Beltagy et al. 2020,
    /// <https://arxiv.org/abs/2004.05150>); all of them if `None`.
    pub window: Option<usize>,
}

impl AttentionScores {
    /// # Panics
    /// If a query sees no key.
    pub(crate) fn check(&self) {
        assert!(self.window != Some(0), "a window of attention holds at least one key");
    }

    /// The same without a window that hides nothing of `positions`.
    pub(crate) fn within(self, positions: usize) -> Self {
        Self { window: self.window.filter(|&window| window < positions), ..self }
    }

    /// The first position that a query at `position` sees.
    pub(crate) fn first_seen(&self, position: usize) -> usize {
        self.window.map_or(0, |window| (position + 1).saturating_sub(window))
    }
}

impl AttentionHeads {
    /// # Panics
    /// When the heads have no columns, or the key-value heads can't be shared evenly.
    pub(crate) fn check(&self) {
        let Self { queries, key_values, width } = *self;
        assert!(width > 0, "heads must have at least one column");
        let shares = key_values > 0 && queries > 0 && queries % key_values == 0;
        assert!(shares, "{queries} query heads cannot share {key_values} key-value heads evenly");
    }

    /// Query heads that share one key-value head.
    pub(crate) fn group(&self) -> usize {
        self.queries / self.key_values
    }

    /// Columns of a token's queries, or of its output.
    pub(crate) fn output_columns(&self) -> usize {
        self.queries * self.width
    }

    /// Columns of a token's queries, keys and values.
    pub(crate) fn packed_columns(&self) -> usize {
        (self.queries + 2 * self.key_values) * self.width
    }
}

/// What causal attention on the CPU does to its scores and weights.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AttentionOptions {
    pub(crate) scores: AttentionScores,
    /// Of the normalised weights; query i of head h in row b is row i of matrix `b * heads + h`.
    pub(crate) dropout: Option<Dropout>,
}

/// A batch of windows, and the place of a head in one of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AttentionSizes {
    /// B.
    pub(crate) batch: usize,
    /// T.
    pub(crate) steps: usize,
    pub(crate) heads: AttentionHeads,
}

impl AttentionSizes {
    /// Multiplications and additions of a pass with `products` matrix products, in the measure of
    /// [`for_rows`](crate::cpu::for_rows).
    pub(super) fn work(&self, products: usize) -> usize {
        let scores = self.batch * self.heads.queries * self.steps * self.steps / 2;
        // The functions of a score take as long as a product with some sixteen columns.
        scores.saturating_mul(products * (self.heads.width + 16) / 64 + 1)
    }

    /// The queries `[T, D]` of a head in the packed tokens of one window, in place.
    pub(super) fn queries<'a, T>(&self, window: &'a [T], head: usize) -> Matrix<'a, T> {
        self.packed_head(window, head)
    }

    /// The keys `[T, D]` of a key-value head in the packed tokens of one window, in place.
    pub(super) fn keys<'a, T>(&self, window: &'a [T], shared: usize) -> Matrix<'a, T> {
        self.packed_head(window, self.heads.queries + shared)
    }

    /// The values `[T, D]` of a key-value head in the packed tokens of one window, in place.
    pub(super) fn values<'a, T>(&self, window: &'a [T], shared: usize) -> Matrix<'a, T> {
        self.packed_head(window, self.heads.queries + self.heads.key_values + shared)
    }

    /// [`Self::queries`] to write into.
    pub(super) fn queries_mut<'a, T>(&self, window: &'a mut [T], head: usize) -> MatrixMut<'a, T> {
        self.packed_head_mut(window, head)
    }

    /// [`Self::keys`] to write into.
    pub(super) fn keys_mut<'a, T>(&self, window: &'a mut [T], shared: usize) -> MatrixMut<'a, T> {
        self.packed_head_mut(window, self.heads.queries + shared)
    }

    /// [`Self::values`] to write into.
    pub(super) fn values_mut<'a, T>(&self, window: &'a mut [T], shared: usize) -> MatrixMut<'a, T> {
        self.packed_head_mut(window, self.heads.queries + self.heads.key_values + shared)
    }

    /// One head's `[T, D]` in the outputs of one window.
    pub(super) fn output_head<'a, T>(&self, window: &'a [T], head: usize) -> Matrix<'a, T> {
        let AttentionHeads { width, .. } = self.heads;
        Matrix::strided(&window[head * width..], self.steps, width, self.heads.output_columns())
    }

    fn packed_head<'a, T>(&self, window: &'a [T], head: usize) -> Matrix<'a, T> {
        let AttentionHeads { width, .. } = self.heads;
        Matrix::strided(&window[head * width..], self.steps, width, self.heads.packed_columns())
    }

    fn packed_head_mut<'a, T>(&self, window: &'a mut [T], head: usize) -> MatrixMut<'a, T> {
        let AttentionHeads { width, .. } = self.heads;
        MatrixMut::strided(&mut window[head * width..], self.steps, width, self.heads.packed_columns())
    }
}

/// New tokens of rows whose keys and values are in a cache.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CacheSizes<'a> {
    /// New tokens of a row, T, whose keys and values are in the cache already.
    pub(crate) steps: usize,
    /// The position of the first of them in each row, `[B]`.
    pub(crate) starts: &'a [usize],
    /// Tokens that the cache has room for.
    pub(crate) capacity: usize,
    pub(crate) heads: AttentionHeads,
}

impl CacheSizes<'_> {
    /// The most positions that a row needs.
    pub(super) fn longest(&self) -> usize {
        self.starts.iter().max().map_or(0, |start| start + self.steps)
    }

    /// The positions that rows need on average.
    pub(super) fn mean(&self) -> usize {
        self.starts.iter().sum::<usize>() / self.starts.len().max(1) + self.steps
    }

    /// The number of the first vector of one head of one row.
    pub(super) fn first(&self, row: usize, shared: usize) -> usize {
        (row * self.heads.key_values + shared) * self.capacity
    }
}
