//! What a model costs, counted without a device.

use serde::Serialize;

/// Floating-point operations for one token, a multiplication with its addition counted as two.
///
/// Matrix products only, as they are executed: element-wise work is left out, and attention multiplies every position
/// of the context with every other, masked or not, in a local layer with as many as its window holds. Training is three
/// times the forward pass, because the backward pass multiplies each gradient with the weights and with the inputs
/// (Kaplan et al. 2020, <https://arxiv.org/abs/2001.08361>, section 2.1; attention as in Chowdhery et al. 2022,
/// <https://arxiv.org/abs/2204.02311>, appendix B).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct FlopsPerToken {
    /// Forward pass alone.
    pub forward: u64,
    /// Forward and backward pass.
    pub training: u64,
}

impl FlopsPerToken {
    /// From the multiply-additions of one token's forward pass.
    pub(crate) fn from_multiply_additions(count: u64) -> Self {
        Self { forward: 2 * count, training: 6 * count }
    }
}

/// What the layers of a model hold, move and start while it is trained; embeddings, head and loss are not in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrainingCosts {
    /// Numbers that the forward pass has to leave for the backward pass, for each token of a batch.
    pub kept_per_token: u64,
    /// Those that it does leave, for each token of a batch: an estimate.
    pub held_per_token: u64,
    /// Numbers that the backward pass of a layer needs beside them for a moment, for each token of a batch: an
    /// estimate.
    pub passing_per_token: u64,
    /// Numbers that lie between two layers, for each token of a batch.
    pub between_per_token: u64,
    /// Rows, inner size and columns of the matrix product that takes most of the time.
    pub typical_product: [usize; 3],
    /// Operations that one batch starts, forward and backward, with the steps of the optimizer: an estimate.
    pub operations: u64,
}
