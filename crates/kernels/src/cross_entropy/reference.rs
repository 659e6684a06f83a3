//! The compositions of Burn's operations.

use burn::tensor::activation::log_softmax;
use burn::tensor::module::linear;
use burn::tensor::{Int, Tensor};

/// As [`crate::cross_entropy`].
pub fn cross_entropy(logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
    log_softmax(logits, 1).gather(1, targets.unsqueeze_dim(1)).squeeze_dim::<1>(1).neg()
}

/// As [`crate::projected_cross_entropy`].
pub fn projected_cross_entropy(
    hidden: Tensor<2>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    targets: Tensor<1, Int>,
) -> Tensor<1> {
    cross_entropy(linear(hidden, weight, bias), targets)
}
