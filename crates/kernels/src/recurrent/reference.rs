//! The compositions of Burn's operations: one small product and a few element-wise operations a step.

use burn::tensor::Tensor;
use burn::tensor::activation::relu;

use super::RnnActivation;
use crate::activation::{sigmoid, tanh};

/// The time steps of a time-major sequence `[T, ..]`, each `[..]`.
///
/// Burn differentiates a slice by writing its gradient into zeros of the size of the whole, and adds those up. T slices
/// of one tensor would cost T such passes, quadratic in T. So the sequence is halved again and again: a slice's
/// gradient is then no longer than twice itself, and all passes together cost T log T.
fn split_steps<const D: usize, const STEP: usize>(sequence: Tensor<D>) -> Vec<Tensor<STEP>> {
    let steps = sequence.dims()[0];
    if steps == 1 {
        return vec![sequence.squeeze_dim(0)];
    }
    let half = steps / 2;
    let mut all = split_steps(sequence.clone().narrow(0, 0, half));
    all.extend(split_steps(sequence.narrow(0, half, steps - half)));
    all
}

/// As [`crate::rnn_sequence`].
pub fn rnn(projected: Tensor<3>, weight: Tensor<2>, mut hidden: Tensor<2>, activation: RnnActivation) -> Tensor<3> {
    let mut outputs = Vec::with_capacity(projected.dims()[0]);
    for step in split_steps::<3, 2>(projected) {
        let sum = hidden.matmul(weight.clone()) + step;
        hidden = match activation {
            RnnActivation::Tanh => tanh(sum),
            RnnActivation::Relu => relu(sum),
        };
        outputs.push(hidden.clone());
    }
    Tensor::stack(outputs, 0)
}

/// As [`crate::lstm_sequence`].
pub fn lstm(
    projected: Tensor<3>,
    weight: Tensor<2>,
    mut hidden: Tensor<2>,
    mut cell: Tensor<2>,
) -> (Tensor<3>, Tensor<2>) {
    let [steps, rows, columns] = projected.dims();
    let width = columns / 4;
    // [4, H, H]: one batched product over the gates, which Burn's CPU backend splits over its threads.
    let weight = weight.reshape([width, 4, width]).swap_dims(0, 1);
    let mut outputs = Vec::with_capacity(steps);
    for step in split_steps::<4, 3>(projected.reshape([steps, rows, 4, width])) {
        let sums = hidden.unsqueeze::<3>().matmul(weight.clone()) + step.swap_dims(0, 1);
        let gates = sigmoid(sums.clone().narrow(0, 0, 3));
        let candidate = tanh(sums.narrow(0, 3, 1)).squeeze_dim::<2>(0);
        let input_gate = gates.clone().narrow(0, 0, 1).squeeze_dim::<2>(0);
        let forget_gate = gates.clone().narrow(0, 1, 1).squeeze_dim::<2>(0);
        let output_gate = gates.narrow(0, 2, 1).squeeze_dim::<2>(0);
        cell = forget_gate * cell + input_gate * candidate;
        hidden = output_gate * tanh(cell.clone());
        outputs.push(hidden.clone());
    }
    (Tensor::stack(outputs, 0), cell)
}

/// As [`crate::gru_sequence`].
pub fn gru(projected: Tensor<3>, weight: Tensor<2>, hidden_bias: Tensor<1>, mut hidden: Tensor<2>) -> Tensor<3> {
    let [steps, rows, columns] = projected.dims();
    let width = columns / 3;
    // [3, H, H]
    let weight = weight.reshape([width, 3, width]).swap_dims(0, 1);
    let hidden_bias = hidden_bias.unsqueeze::<2>();
    let mut outputs = Vec::with_capacity(steps);
    for step in split_steps::<4, 3>(projected.reshape([steps, rows, 3, width])) {
        let step = step.swap_dims(0, 1);
        let recurrent = hidden.clone().unsqueeze::<3>().matmul(weight.clone());
        let gates = sigmoid(recurrent.clone().narrow(0, 0, 2) + step.clone().narrow(0, 0, 2));
        let reset = gates.clone().narrow(0, 0, 1).squeeze_dim::<2>(0);
        let update = gates.narrow(0, 1, 1).squeeze_dim::<2>(0);
        let inner = recurrent.narrow(0, 2, 1).squeeze_dim::<2>(0) + hidden_bias.clone();
        let candidate = tanh(reset * inner + step.narrow(0, 2, 1).squeeze_dim::<2>(0));
        hidden = candidate.clone() + update * (hidden - candidate);
        outputs.push(hidden.clone());
    }
    Tensor::stack(outputs, 0)
}
