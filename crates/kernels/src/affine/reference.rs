//! The composition of Burn's operations.

use burn::tensor::Tensor;
use burn::tensor::module::linear;

use crate::product::MatrixPrecision;
use crate::product::rounding::product;

/// As [`crate::affine`].
pub fn affine(input: Tensor<2>, weight: Tensor<2>, bias: Option<Tensor<1>>, residual: Option<Tensor<2>>) -> Tensor<2> {
    plus(linear(input, weight, bias), residual)
}

/// The same in mixed precision, on a CPU.
pub(crate) fn mixed_affine(
    input: Tensor<2>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    residual: Option<Tensor<2>>,
) -> Tensor<2> {
    let output = product(input, weight, MatrixPrecision::Mixed);
    plus(plus(output, bias.map(Tensor::unsqueeze)), residual)
}

fn plus(sum: Tensor<2>, addend: Option<Tensor<2>>) -> Tensor<2> {
    match addend {
        Some(addend) => addend + sum,
        None => sum,
    }
}
