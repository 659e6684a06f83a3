//! Which tokens a forward pass is over.

use burn::tensor::Tensor;

use super::options::AttentionLayer;

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
    /// Those of local layers, if they have others.
    pub(super) local_rotary: Option<[Tensor<2>; 2]>,
}

impl Window<'_> {
    /// The cosines and sines of a layer, if it rotates.
    pub(super) fn rotary_of(&self, layer: AttentionLayer) -> Option<[Tensor<2>; 2]> {
        match layer {
            AttentionLayer::Global => self.rotary.clone(),
            AttentionLayer::Local => self.local_rotary.as_ref().or(self.rotary.as_ref()).cloned(),
            AttentionLayer::Unrotated => None,
        }
    }

    /// Where all rows start, if they start at one position.
    pub(super) fn common_start(&self) -> Option<usize> {
        let first = *self.starts.first()?;
        self.starts.iter().all(|&start| start == first).then_some(first)
    }
}
