//! The compositions of Burn's operations.

use burn::tensor::Tensor;

/// As [`crate::layer_norm`].
pub fn layer_norm(input: Tensor<2>, weight: Tensor<1>, bias: Option<Tensor<1>>, epsilon: f64) -> Tensor<2> {
    burn::tensor::module::layer_norm(input, weight, bias, epsilon)
}

/// As [`crate::rms_norm`].
pub fn rms_norm(input: Tensor<2>, weight: Tensor<1>, epsilon: f64) -> Tensor<2> {
    let mean_square = input.clone().square().mean_dim(1);
    let scale = (mean_square + epsilon).sqrt().recip();
    input * scale * weight.unsqueeze()
}
