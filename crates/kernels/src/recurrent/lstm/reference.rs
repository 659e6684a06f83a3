//! The composition of Burn's operations: one small product and a few element-wise operations a step.

use burn::tensor::Tensor;

use super::super::tensors::split_steps;
use crate::activation::{sigmoid, tanh};

/// As [`crate::lstm_sequence`].
pub fn lstm_sequence(
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
