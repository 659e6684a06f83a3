//! The curvature of the loss along its gradient.

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{ExecutionError, Tensor};
use kiln_parameters::{Reading, catalogue, flat_gradient, map, visit};

/// h over the norm of all weights: how far the two gradients of a difference are taken from the weights.
///
/// A difference of gradients in single precision errs in two ways. Rounding: a gradient carries a relative error of
/// some 1e-7, which the division by 2 h makes about 1e-7 |g| / h; it falls as h grows. Truncation: h^2 / 6 times the
/// second derivative of the curvature along the line; it grows with h^2. Measured on fresh small models (the test
/// `the_sharpness_of_a_language_model_hardly_depends_on_the_step`, on a processor), with h of 1e-3, 3e-4 and 1e-4 of
/// |w|: a transformer 1.7628, 1.7500, 1.7488; an LSTM 0.078358, 0.078356, 0.078368. So at 3e-4 the error is about a
/// thousandth.
pub const RELATIVE_STEP: f64 = 3e-4;

/// u^T H u for the unit vector u along `gradient`, H being the Hessian of the loss: the curvature that a step of
/// gradient descent meets. Gradient descent with rate eta overshoots along u where eta times this is above 2.
///
/// By central differences: (g(w + h u) - g(w - h u)) u / (2 h) = u^T H u + O(h^2), with h = [`RELATIVE_STEP`] |w|, or
/// [`RELATIVE_STEP`] where all weights are 0. For a quadratic loss there is no truncation error.
///
/// `gradient_at` must give the gradient of the same loss each time: of the same batch, with the same dropout. `None`
/// where there is no direction (a gradient of 0) or a number is not finite.
///
/// # Errors
/// Those of `gradient_at`, and of reading from the device.
pub fn sharpness<M: Module, E: From<ExecutionError>>(
    model: &M,
    gradient: &GradientsParams,
    gradient_at: impl FnMut(&M) -> Result<GradientsParams, E>,
) -> Result<Option<f64>, E> {
    sharpness_with(RELATIVE_STEP, model, gradient, gradient_at)
}

/// The same with another step.
pub(super) fn sharpness_with<M: Module, E: From<ExecutionError>>(
    relative_step: f64,
    model: &M,
    gradient: &GradientsParams,
    mut gradient_at: impl FnMut(&M) -> Result<GradientsParams, E>,
) -> Result<Option<f64>, E> {
    let (weights, gradients) = squares(model, gradient);
    let (weights, length) = (read_sum(weights)?.sqrt(), read_sum(gradients)?.sqrt());
    if !(length > 0.0 && length.is_finite() && weights.is_finite()) {
        return Ok(None);
    }
    let step = relative_step * if weights > 0.0 { weights } else { 1.0 };
    let ahead = gradient_at(&shifted(model, gradient, step / length))?;
    let behind = gradient_at(&shifted(model, gradient, -step / length))?;
    let curvature = read_sum(products(model, &ahead, &behind, gradient))? / length / (2.0 * step);
    Ok(curvature.is_finite().then_some(curvature))
}

/// Squared norms of the parameters that have a gradient, and of their gradients.
fn squares<M: Module>(model: &M, gradient: &GradientsParams) -> (Vec<Tensor<1>>, Vec<Tensor<1>>) {
    let (mut weights, mut gradients) = (Vec::new(), Vec::new());
    visit(model, |parameter, value| {
        if let Some(gradient) = flat_gradient(gradient, parameter) {
            weights.push(value.square().sum());
            gradients.push(gradient.square().sum());
        }
    });
    (weights, gradients)
}

/// The sum of some numbers, read in one go and added in double precision.
fn read_sum(numbers: Vec<Tensor<1>>) -> Result<f64, ExecutionError> {
    if numbers.is_empty() {
        return Ok(0.0);
    }
    Ok(Reading::begin(Tensor::cat(numbers, 0)).wait()?.iter().sum())
}

/// The model with `factor` times `direction` added to its weights.
pub(super) fn shifted<M: Module>(model: &M, direction: &GradientsParams, factor: f64) -> M {
    map(model.clone(), |parameter, value| match flat_gradient(direction, parameter) {
        Some(direction) => value.add(direction.mul_scalar(factor)),
        None => value,
    })
}

/// (first - second) direction, a sum for each parameter: the difference is taken first, where most digits cancel.
fn products<M: Module>(
    model: &M,
    first: &GradientsParams,
    second: &GradientsParams,
    direction: &GradientsParams,
) -> Vec<Tensor<1>> {
    let of = |parameter| [first, second, direction].map(|gradients| flat_gradient(gradients, parameter));
    let product = |gradients: [Option<Tensor<1>>; 3]| match gradients {
        [Some(first), Some(second), Some(direction)] => Some(first.sub(second).mul(direction).sum()),
        _ => None,
    };
    catalogue(model).iter().filter_map(|parameter| product(of(parameter))).collect()
}
