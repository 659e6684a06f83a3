//! The composition of Burn's operations: one small product and a few element-wise operations a step.

use burn::tensor::Tensor;
use burn::tensor::activation::relu;

use super::super::tensors::split_steps;
use super::cpu::Activation;
use crate::activation::tanh;

/// As [`crate::rnn_sequence`].
pub fn rnn_sequence(
    projected: Tensor<3>,
    weight: Tensor<2>,
    mut hidden: Tensor<2>,
    activation: Activation,
) -> Tensor<3> {
    let mut outputs = Vec::with_capacity(projected.dims()[0]);
    for step in split_steps::<3, 2>(projected) {
        let sum = hidden.matmul(weight.clone()) + step;
        hidden = match activation {
            Activation::Tanh => tanh(sum),
            Activation::Relu => relu(sum),
        };
        outputs.push(hidden.clone());
    }
    Tensor::stack(outputs, 0)
}
