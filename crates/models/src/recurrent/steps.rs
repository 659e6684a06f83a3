//! One sequence into its time steps, so that the gradients come back cheaply.

use burn::tensor::Tensor;

/// The time steps of a time-major sequence `[T, ..]`, each `[..]`.
///
/// Burn differentiates a slice by writing its gradient into zeros of the size of the whole, and adds those up. T slices
/// of one tensor would cost T such passes, quadratic in T. So the sequence is halved again and again: a slice's
/// gradient is then no longer than twice itself, and all passes together cost T log T.
pub(super) fn split_steps<const D: usize, const STEP: usize>(sequence: Tensor<D>) -> Vec<Tensor<STEP>> {
    let steps = sequence.dims()[0];
    if steps == 1 {
        return vec![sequence.squeeze_dim(0)];
    }
    let half = steps / 2;
    let mut all = split_steps(sequence.clone().narrow(0, 0, half));
    all.extend(split_steps(sequence.narrow(0, half, steps - half)));
    all
}
