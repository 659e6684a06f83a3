//! What the recurrent operations share about tensors: their shapes, and their steps.

use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;

use super::steps::Sizes;
use crate::flex::{has_fast_body, sizes};

/// The shapes that all recurrent sequences have: projected inputs `[T, B, gates H]`, weight `[H, gates H]`, state `[B,
/// H]`.
///
/// # Panics
/// If they do not fit, or the sequence is empty.
pub(super) fn check(gates: usize, projected: &Tensor<3>, weight: &Tensor<2>, states: &[&Tensor<2>]) {
    let ([steps, rows, columns], [width, weight_columns]) = (projected.dims(), weight.dims());
    assert!(steps > 0 && rows > 0, "a recurrent layer needs at least one step of at least one row");
    assert_eq!(weight_columns, gates * width, "a recurrent weight of {width} rows has {gates} times as many columns");
    assert_eq!(
        columns, weight_columns,
        "projected inputs of {columns} columns do not fit {weight_columns} sums a step"
    );
    for state in states {
        assert_eq!(state.dims(), [rows, width], "a state has the rows of its window and the width of its layer");
    }
}

/// Whether there is a body, for the CPU or for GPUs, where the tensor lies.
pub(super) fn has_body(projected: &Tensor<3>) -> bool {
    #[cfg(feature = "cube")]
    if super::cube::has_gpu_body(projected) {
        return true;
    }
    has_fast_body(projected)
}

/// T, B and H of a tensor `[T, B, gates H]`.
pub(super) fn sizes_of(projected: &FlexTensor, gates: usize) -> Sizes {
    let [steps, rows, columns] = sizes(projected);
    Sizes { steps, rows, width: columns / gates }
}

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
