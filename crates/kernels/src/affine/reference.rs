//! The composition of Burn's operations.

use burn::tensor::Tensor;
use burn::tensor::module::linear;

/// As [`crate::affine`].
pub fn affine(input: Tensor<2>, weight: Tensor<2>, bias: Option<Tensor<1>>, residual: Option<Tensor<2>>) -> Tensor<2> {
    let output = linear(input, weight, bias);
    match residual {
        Some(residual) => residual + output,
        None => output,
    }
}
