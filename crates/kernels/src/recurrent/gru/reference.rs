//! The composition of Burn's operations: one small product and a few element-wise operations a step.

use burn::tensor::Tensor;

use super::super::tensors::split_steps;
use crate::activation::{sigmoid, tanh};

/// As [`crate::gru_sequence`].
pub fn gru_sequence(
    projected: Tensor<3>,
    weight: Tensor<2>,
    hidden_bias: Tensor<1>,
    mut hidden: Tensor<2>,
) -> Tensor<3> {
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
