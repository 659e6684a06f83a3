//! Recurrent layers with packed hidden weights: the sequences of [`recurrent`](crate::recurrent), step by step.

use burn::tensor::Tensor;
use kiln_packed::PackedMatrix;

use super::cpu::affine;
use crate::flex::{contiguous, has_fast_body, numbers, tensor, unwrapped, wrapped};
use crate::recurrent::{RnnActivation, activate_gru, activate_lstm, activate_rnn};

/// A sequence on the CPU.
struct Sequence {
    sizes: [usize; 3],
    /// `[T, B, gates H]`.
    projected: Vec<f32>,
}

impl Sequence {
    /// # Panics
    /// If the shapes do not fit, or the tensor isn't on the CPU.
    fn new(gates: usize, projected: Tensor<3>, weight: &PackedMatrix, states: &[&Tensor<2>]) -> Self {
        let ([steps, rows, columns], width) = (projected.dims(), weight.inputs());
        assert!(has_fast_body(&projected), "packed matrices are multiplied on the CPU");
        assert_eq!([columns, weight.outputs()], [gates * width; 2], "the sums of a step are {gates} for each unit");
        for state in states {
            assert_eq!(state.dims(), [rows, width], "a state has the rows of its window and the width of its layer");
        }
        let projected = numbers(&contiguous(unwrapped(projected))).to_vec();
        Self { sizes: [steps, rows, width], projected }
    }
}

fn values(tensor: Tensor<2>) -> Vec<f32> {
    numbers(&contiguous(unwrapped(tensor))).to_vec()
}

/// [`lstm_sequence`](crate::lstm_sequence) with the transpose of R packed, `[4 H, H]`.
///
/// # Panics
/// If the shapes do not fit, or the tensors aren't on the CPU.
pub fn packed_lstm_sequence(
    projected: Tensor<3>,
    weight: &PackedMatrix,
    hidden: Tensor<2>,
    cell: Tensor<2>,
) -> (Tensor<3>, Tensor<2>) {
    let sequence = Sequence::new(4, projected, weight, &[&hidden, &cell]);
    let [steps, rows, width] = sequence.sizes;
    let (mut hidden, mut cell) = (values(hidden), values(cell));
    let mut outputs = Vec::with_capacity(steps * rows * width);
    for projected in sequence.projected.chunks_exact(4 * rows * width) {
        let mut gates = affine(&hidden, rows, weight, None, Some(projected));
        let previous = cell.clone();
        activate_lstm(width, &mut gates, &previous, &mut cell, &mut hidden);
        outputs.extend_from_slice(&hidden);
    }
    (wrapped(tensor(outputs, sequence.sizes)), wrapped(tensor(cell, [rows, width])))
}

/// [`gru_sequence`](crate::gru_sequence) with the transpose of R packed, `[3 H, H]`.
///
/// # Panics
/// If the shapes do not fit, or the tensors aren't on the CPU.
pub fn packed_gru_sequence(
    projected: Tensor<3>,
    weight: &PackedMatrix,
    hidden_bias: Tensor<1>,
    hidden: Tensor<2>,
) -> Tensor<3> {
    let mut sequence = Sequence::new(3, projected, weight, &[&hidden]);
    let [steps, rows, width] = sequence.sizes;
    let bias = values(hidden_bias.unsqueeze());
    let mut hidden = values(hidden);
    let mut outputs = Vec::with_capacity(steps * rows * width);
    for gates in sequence.projected.chunks_exact_mut(3 * rows * width) {
        let products = affine(&hidden, rows, weight, None, None);
        let mut inner = Vec::with_capacity(rows * width);
        for (gates, products) in gates.chunks_exact_mut(3 * width).zip(products.chunks_exact(3 * width)) {
            gates[..2 * width].iter_mut().zip(products).for_each(|(gate, product)| *gate += *product);
            inner.extend(products[2 * width..].iter().zip(&bias).map(|(product, bias)| product + bias));
        }
        let previous = hidden.clone();
        activate_gru(width, gates, [&inner, &previous], &mut hidden);
        outputs.extend_from_slice(&hidden);
    }
    wrapped(tensor(outputs, sequence.sizes))
}

/// [`rnn_sequence`](crate::rnn_sequence) with the transpose of V packed, `[H, H]`.
///
/// # Panics
/// If the shapes do not fit, or the tensors aren't on the CPU.
pub fn packed_rnn_sequence(
    projected: Tensor<3>,
    weight: &PackedMatrix,
    hidden: Tensor<2>,
    activation: RnnActivation,
) -> Tensor<3> {
    let sequence = Sequence::new(1, projected, weight, &[&hidden]);
    let [steps, rows, width] = sequence.sizes;
    let mut hidden = values(hidden);
    let mut outputs = Vec::with_capacity(steps * rows * width);
    for projected in sequence.projected.chunks_exact(rows * width) {
        hidden = affine(&hidden, rows, weight, None, Some(projected));
        activate_rnn(activation, &mut hidden);
        outputs.extend_from_slice(&hidden);
    }
    wrapped(tensor(outputs, sequence.sizes))
}
