//! The compositions of Burn's operations.

use burn::tensor::activation::log_softmax;
use burn::tensor::module::linear;
use burn::tensor::{Int, Tensor};

pub(super) fn cross_entropy(logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
    log_softmax(logits, 1).gather(1, targets.unsqueeze_dim(1)).squeeze_dim::<1>(1).neg()
}

pub(super) fn projected_cross_entropy(
    hidden: Tensor<2>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    targets: Tensor<1, Int>,
) -> Tensor<1> {
    cross_entropy(linear(hidden, weight, bias), targets)
}
