//! Which tokens a forward pass is over.

use burn::tensor::Tensor;

/// What all blocks share about the tokens that they work on.
pub(super) struct Window<'a> {
    /// B.
    pub(super) rows: usize,
    /// T.
    pub(super) steps: usize,
    /// Position of the first token of each row, `[B]`.
    pub(super) starts: &'a [usize],
    /// Tokens of each row, `[B]`; what follows them is padding.
    pub(super) lengths: &'a [usize],
    /// For rotary positions: cosines and sines.
    pub(super) rotary: Option<[Tensor<2>; 2]>,
}

impl Window<'_> {
    /// Where all rows start, if they start at one position.
    pub(super) fn common_start(&self) -> Option<usize> {
        let first = *self.starts.first()?;
        self.starts.iter().all(|&start| start == first).then_some(first)
    }
}
