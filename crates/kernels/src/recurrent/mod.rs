//! Whole sequences through recurrent layers.
//!
//! The part of a step that needs no state, x_t W + b, is one product for all steps ([`affine`](crate::affine)); these
//! operations take it from there.

#[cfg(test)]
mod cpu_tests;
mod gru;
mod gru_cpu;
mod lstm;
mod lstm_cpu;
pub(crate) mod reference;
mod rnn;
mod rnn_cpu;
mod steps;
#[cfg(test)]
mod tests;

pub use gru::gru_sequence;
pub use lstm::lstm_sequence;
pub use rnn::rnn_sequence;
pub use rnn_cpu::Activation as RnnActivation;

use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;

use crate::flex::sizes;
use steps::Sizes;

/// The shapes that all recurrent sequences have: projected inputs `[T, B, gates H]`, weight `[H, gates H]`, state `[B, H]`.
///
/// # Panics
/// When they do not fit, or the sequence is empty.
fn check(gates: usize, projected: &Tensor<3>, weight: &Tensor<2>, states: &[&Tensor<2>]) {
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

/// T, B and H of a tensor `[T, B, gates H]`.
fn sizes_of(projected: &FlexTensor, gates: usize) -> Sizes {
    let [steps, rows, columns] = sizes(projected);
    Sizes { steps, rows, width: columns / gates }
}
