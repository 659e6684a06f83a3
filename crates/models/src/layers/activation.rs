//! Sigmoid and tanh that remember their derivatives.
//!
//! Burn's own compute the function again in the backward pass, and on a CPU an exponential for each element is what a recurrent
//! network spends most of its time on. Here the value and the derivative are computed once, outside the graph, and joined in it as
//!
//! ```text
//! y = value + (x - x') * derivative        x' being x cut from the graph
//! ```
//!
//! whose value is `value`, because the bracket is zero, and whose gradient with respect to x is `derivative`.

use burn::tensor::Tensor;

/// 1 / (1 + exp(-x)).
pub(crate) fn sigmoid<const D: usize>(input: Tensor<D>) -> Tensor<D> {
    with_derivative(input, logistic, |value| (-value.clone() + 1.0) * value)
}

/// tanh(x) = 2 sigmoid(2 x) - 1, which has an absolute error of one rounding.
pub(crate) fn tanh<const D: usize>(input: Tensor<D>) -> Tensor<D> {
    with_derivative(input, |input| logistic(input * 2.0) * 2.0 - 1.0, |value| -(value.clone() * value) + 1.0)
}

/// Without the branch on the sign that guards other implementations against overflow: an infinite exponential gives 0 here, and
/// no gradient runs through it.
fn logistic<const D: usize>(input: Tensor<D>) -> Tensor<D> {
    (input.neg().exp() + 1.0).recip()
}

fn with_derivative<const D: usize>(
    input: Tensor<D>,
    function: impl Fn(Tensor<D>) -> Tensor<D>,
    derivative: impl Fn(Tensor<D>) -> Tensor<D>,
) -> Tensor<D> {
    let constant = input.clone().detach();
    let value = function(constant.clone());
    if !input.is_tracked() {
        return value;
    }
    let derivative = derivative(value.clone());
    (input - constant) * derivative + value
}
