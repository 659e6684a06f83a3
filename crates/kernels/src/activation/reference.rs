//! The compositions of Burn's operations.
//!
//! Burn's own activations compute their exponentials again in the backward pass. Here the value and the derivative are
//! computed once, outside the graph, and joined in it as
//!
//! ```text
//! y = value + (x - x') * derivative        x' being x cut from the graph
//! ```
//!
//! whose value is `value`, because the bracket is zero, and whose gradient with respect to x is `derivative`.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_PI, FRAC_2_SQRT_PI};

use burn::tensor::Tensor;
use burn::tensor::activation::relu;

use super::cpu::Activation;

/// As [`crate::activate`].
pub fn activate<const D: usize>(input: Tensor<D>, activation: Activation) -> Tensor<D> {
    match activation {
        Activation::Gelu => gelu(input),
        Activation::GeluTanh => gelu_tanh(input),
        Activation::Relu => relu(input),
        Activation::ReluSquared => relu(input).square(),
    }
}

/// As [`crate::swiglu`].
pub fn swiglu(input: Tensor<2>) -> Tensor<2> {
    let [_, columns] = input.dims();
    let width = columns / 2;
    silu(input.clone().narrow(1, 0, width)) * input.narrow(1, width, width)
}

/// 1 / (1 + exp(-x)).
pub fn sigmoid<const D: usize>(input: Tensor<D>) -> Tensor<D> {
    with_derivative(input, |input| {
        let value = logistic(input);
        (value.clone(), || value.clone() - value.clone() * value)
    })
}

/// tanh(x) = 2 sigmoid(2 x) - 1, which has an absolute error of one rounding.
pub fn tanh<const D: usize>(input: Tensor<D>) -> Tensor<D> {
    with_derivative(input, |input| {
        let value = logistic(input * 2.0) * 2.0 - 1.0;
        (value.clone(), || -(value.clone() * value) + 1.0)
    })
}

fn silu<const D: usize>(input: Tensor<D>) -> Tensor<D> {
    with_derivative(input, |input| {
        let sigmoid = logistic(input.clone());
        let value = input * sigmoid.clone();
        (value.clone(), || value.clone() - value * sigmoid.clone() + sigmoid)
    })
}

fn gelu<const D: usize>(input: Tensor<D>) -> Tensor<D> {
    let peak = 0.5 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2;
    with_derivative(input, |input| {
        let probability = (input.clone() * FRAC_1_SQRT_2).erf() * 0.5 + 0.5;
        (input.clone() * probability.clone(), || {
            let density = (input.clone() * input.clone() * -0.5).exp() * peak;
            density * input + probability
        })
    })
}

/// (1 + tanh(u)) / 2 = sigmoid(2 u) with u = sqrt(2 / pi) (x + 0.044715 x^3).
fn gelu_tanh<const D: usize>(input: Tensor<D>) -> Tensor<D> {
    let scale = 2.0 * FRAC_2_PI.sqrt();
    let cubic = 0.044715 * scale;
    with_derivative(input, |input| {
        let square = input.clone() * input.clone();
        let sigmoid = logistic((square.clone() * cubic + scale) * input.clone());
        let value = input * sigmoid.clone();
        (value.clone(), || {
            let slope = square * (3.0 * cubic) + scale;
            (value.clone() - value * sigmoid.clone()) * slope + sigmoid
        })
    })
}

/// Without the branch on the sign that guards other implementations against overflow: an infinite exponential gives 0
/// here, and no gradient runs through it.
fn logistic<const D: usize>(input: Tensor<D>) -> Tensor<D> {
    (input.neg().exp() + 1.0).recip()
}

/// A function that gives its value at a point and the means to compute its derivative there.
fn with_derivative<const D: usize, Derivative: FnOnce() -> Tensor<D>>(
    input: Tensor<D>,
    function: impl FnOnce(Tensor<D>) -> (Tensor<D>, Derivative),
) -> Tensor<D> {
    let point = input.clone().detach();
    let (value, derivative) = function(point.clone());
    if input.is_tracked() { (input - point) * derivative() + value } else { value }
}
