//! Steps of optimizers, each in one pass over a parameter, its gradient and its state.

mod cpu;
pub(crate) mod reference;
#[cfg(test)]
mod tests;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, backend_extension};
use burn::tensor::Tensor;

use crate::flex::has_fast_body;

/// The numbers of one step of Adam or AdamW, already worked out for this step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamStep {
    /// beta1 and beta2.
    pub betas: [f64; 2],
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// The rate over 1 - beta1^t.
    pub rate: f64,
    /// sqrt(1 - beta2^t).
    pub root_correction: f64,
    /// What the value is multiplied by first: 1 - rate * decay.
    pub shrink: f64,
}

/// The numbers of one step of stochastic gradient descent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SgdStep {
    /// The rate.
    pub rate: f64,
    /// mu.
    pub momentum: f64,
    /// Whether the momentum looks ahead.
    pub nesterov: bool,
    /// lambda of the L2 penalty.
    pub weight_decay: f64,
}

/// The operations as a backend extension.
#[backend_extension(Flex)]
pub(crate) trait OptimizerOps: Backend {
    /// New value, first and second moment.
    fn adam_step(
        value: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        step: AdamStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
    /// The value less the rate times the gradient with its L2 penalty.
    fn descend(
        value: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        rate: f64,
        weight_decay: f64,
    ) -> FloatTensor<Self>;
    /// New value and velocity.
    fn sgd_step(
        value: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        velocity: FloatTensor<Self>,
        step: SgdStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
    /// The sum of the squares of all numbers, `[1]`.
    fn sum_of_squares(values: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// One step of Adam (Kingma and Ba 2015, Algorithm 1) with AdamW's decoupled decay (Loshchilov and Hutter 2019, Algorithm 2):
///
/// m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g²,
/// w = shrink w - rate m / (sqrt(v) / root_correction + epsilon).
///
/// Moments that are `None` are zero. All tensors are without autodiff and of the same length; those that nobody else holds
/// are written in place.
///
/// # Panics
/// When the lengths differ.
pub fn adam_step(
    step: AdamStep,
    value: Tensor<1>,
    gradient: Tensor<1>,
    moments: Option<[Tensor<1>; 2]>,
) -> [Tensor<1>; 3] {
    let [first, second] = moments.unwrap_or_else(|| [value.zeros_like(), value.zeros_like()]);
    for other in [&gradient, &first, &second] {
        assert_eq!(other.dims(), value.dims(), "a step needs a gradient and moments of the parameter's length");
    }
    if !has_fast_body(&value) {
        return reference::adam_step(step, value, gradient, first, second);
    }
    let [value, gradient, first, second] = [value, gradient, first, second].map(Tensor::into_dispatch);
    let (value, first, second) = Dispatch::adam_step(value, gradient, first, second, step);
    [value, first, second].map(Tensor::from_dispatch)
}

/// One step of stochastic gradient descent as `torch.optim.SGD` defines it:
///
/// g = g + lambda w; b = mu b + g; w = w - rate b, or with Nesterov's look-ahead w - rate (g + mu b).
///
/// A velocity that is `None` is zero, and none is kept without momentum. All tensors are without autodiff and of the same
/// length; those that nobody else holds are written in place.
///
/// # Panics
/// When the lengths differ.
pub fn sgd_step(
    step: SgdStep,
    value: Tensor<1>,
    gradient: Tensor<1>,
    velocity: Option<Tensor<1>>,
) -> (Tensor<1>, Option<Tensor<1>>) {
    assert_eq!(gradient.dims(), value.dims(), "a step needs a gradient of the parameter's length");
    let is_fast = has_fast_body(&value);
    if step.momentum == 0.0 {
        let SgdStep { rate, weight_decay, .. } = step;
        if !is_fast {
            return (reference::descend(value, gradient, rate, weight_decay), None);
        }
        let value = Dispatch::descend(value.into_dispatch(), gradient.into_dispatch(), rate, weight_decay);
        return (Tensor::from_dispatch(value), None);
    }
    let velocity = velocity.unwrap_or_else(|| value.zeros_like());
    assert_eq!(velocity.dims(), value.dims(), "a step needs a velocity of the parameter's length");
    if !is_fast {
        let (value, velocity) = reference::sgd_step(step, value, gradient, velocity);
        return (value, Some(velocity));
    }
    let [value, gradient, velocity] = [value, gradient, velocity].map(Tensor::into_dispatch);
    let (value, velocity) = Dispatch::sgd_step(value, gradient, velocity, step);
    (Tensor::from_dispatch(value), Some(Tensor::from_dispatch(velocity)))
}

/// The sum of the squares of all numbers of a tensor without autodiff, `[1]`.
pub fn sum_of_squares<const D: usize>(values: Tensor<D>) -> Tensor<1> {
    if !has_fast_body(&values) {
        return reference::sum_of_squares(values);
    }
    Tensor::from_dispatch(Dispatch::sum_of_squares(values.into_dispatch()))
}
