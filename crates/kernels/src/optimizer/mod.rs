//! Steps of optimizers, each in one pass over all parameters, their gradients and their state.
//!
//! These aren't backend extensions, which take a fixed number of tensors: the CPU body works on Burn's CPU tensors
//! directly, and nothing has to be differentiated.

mod cpu;
#[cfg(feature = "cube")]
mod cube;
#[cfg(feature = "cube")]
mod cube_guard;
mod eight_bits;
mod flex;
mod guard;
pub(crate) mod reference;
#[cfg(test)]
mod tests;

use burn::tensor::Tensor;

use crate::flex::has_fast_body;

pub use cpu::{AdamStep, SgdStep};
pub use eight_bits::{BLOCK as EIGHT_BIT_BLOCK, EightBits, Levels};
pub use guard::{GradientScale, Guard, clip_coefficient};

/// A flattened parameter on its way through a step of Adam, with tensors of one length, without autodiff.
#[derive(Debug, Clone)]
pub struct AdamParameter {
    /// w.
    pub value: Tensor<1>,
    /// g.
    pub gradient: Tensor<1>,
    /// m and v, zero if `None`.
    pub moments: Option<[Tensor<1>; 2]>,
    /// What the value is multiplied by first: 1 - rate * decay.
    pub shrink: f64,
    /// lambda of an L2 penalty in the gradient.
    pub penalty: f64,
}

/// A flattened parameter on its way through a step of gradient descent, with tensors of one length, without autodiff.
#[derive(Debug, Clone)]
pub struct SgdParameter {
    /// w.
    pub value: Tensor<1>,
    /// g.
    pub gradient: Tensor<1>,
    /// b, zero if `None`.
    pub velocity: Option<Tensor<1>>,
    /// lambda of the L2 penalty.
    pub weight_decay: f64,
}

/// One step of Adam (Kingma and Ba 2015, Algorithm 1) with AdamW's decoupled decay (Loshchilov and Hutter 2019,
/// Algorithm 2) for each parameter, with s the scale of the gradient, which may also say that nothing changes:
///
/// g = s g + lambda w, m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g²,
/// w = shrink w - rate m / (sqrt(v) / root_correction + epsilon).
///
/// Returns new values, first and second moments. Tensors that nothing else holds are written in place.
///
/// # Panics
/// If the lengths differ within a parameter, or the types of numbers anywhere, or a tensor is tracked by autodiff.
pub fn adam_step(step: AdamStep, scale: &GradientScale, parameters: Vec<AdamParameter>) -> Vec<[Tensor<1>; 3]> {
    let given = parameters.into_iter().map(|parameter| {
        let AdamParameter { value, gradient, moments, shrink, penalty } = parameter;
        let [first, second] = moments.unwrap_or_else(|| [value.zeros_like(), value.zeros_like()]);
        for other in [&gradient, &first, &second] {
            assert_eq!(other.dims(), value.dims(), "a step needs a gradient and moments of the parameter's length");
        }
        ([value, gradient, first, second], [shrink, penalty])
    });
    let given: Vec<_> = given.collect();
    if have_fast_bodies(given.iter().flat_map(|(tensors, _)| tensors)) {
        return flex::adam_step(step, scale, given);
    }
    #[cfg(feature = "cube")]
    if given.iter().flat_map(|(tensors, _)| tensors).all(crate::cube::is_on_gpu) {
        return cube::adam_step(step, scale, given);
    }
    given.into_iter().map(|(tensors, decay)| reference::adam_step(step, scale, tensors, decay)).collect()
}

/// One step of stochastic gradient descent as `torch.optim.SGD` defines it for each parameter, with s the scale of the
/// gradient, which may also say that nothing changes:
///
/// g = s g + lambda w; b = mu b + g; w = w - rate b, or with Nesterov's look-ahead w - rate (g + mu b).
///
/// Returns new values and velocities, the latter only with momentum. Tensors that nothing else holds are written in
/// place.
///
/// # Panics
/// If the lengths differ within a parameter, or the types of numbers anywhere, or a tensor is tracked by autodiff.
pub fn sgd_step(
    step: SgdStep,
    scale: &GradientScale,
    parameters: Vec<SgdParameter>,
) -> Vec<(Tensor<1>, Option<Tensor<1>>)> {
    let given = parameters.into_iter().map(|parameter| {
        let SgdParameter { value, gradient, velocity, weight_decay } = parameter;
        let velocity = (step.momentum != 0.0).then(|| velocity.unwrap_or_else(|| value.zeros_like()));
        for other in [&gradient].into_iter().chain(&velocity) {
            assert_eq!(other.dims(), value.dims(), "a step needs a gradient and a velocity of the parameter's length");
        }
        (value, gradient, velocity, weight_decay)
    });
    let given: Vec<_> = given.collect();
    if have_fast_bodies(
        given.iter().flat_map(|(value, gradient, velocity, _)| [value, gradient].into_iter().chain(velocity)),
    ) {
        return flex::sgd_step(step, scale, given);
    }
    #[cfg(feature = "cube")]
    if given.iter().all(|(value, ..)| crate::cube::is_on_gpu(value)) {
        return cube::sgd_step(step, scale, given);
    }
    let steps = given.into_iter().map(|(value, gradient, velocity, weight_decay)| {
        reference::sgd_step(step, scale, value, gradient, velocity, weight_decay)
    });
    steps.collect()
}

/// The sum of the squares of all numbers of some flattened tensors without autodiff, `[1]`.
///
/// # Panics
/// Without a tensor, when the types of numbers differ, or a tensor is tracked by autodiff.
pub fn sum_of_squares(tensors: Vec<Tensor<1>>) -> Tensor<1> {
    assert!(!tensors.is_empty(), "a sum of squares needs a tensor");
    if have_fast_bodies(tensors.iter()) {
        return flex::sum_of_squares(tensors);
    }
    #[cfg(feature = "cube")]
    if tensors.iter().all(crate::cube::is_on_gpu) {
        return cube::sum_of_squares(tensors);
    }
    reference::sum_of_squares(tensors)
}

/// Whether the CPU body takes all of these tensors.
///
/// # Panics
/// If their types of numbers differ, or one is tracked by autodiff.
fn have_fast_bodies<'a>(tensors: impl Iterator<Item = &'a Tensor<1>>) -> bool {
    let (mut dtype, mut are_fast) = (None, true);
    for tensor in tensors {
        assert_eq!(
            *dtype.get_or_insert(tensor.dtype()),
            tensor.dtype(),
            "all parameters must have one type of numbers"
        );
        assert!(!tensor.device().is_autodiff(), "a step is made without autodiff");
        are_fast &= has_fast_body(tensor);
    }
    are_fast
}
