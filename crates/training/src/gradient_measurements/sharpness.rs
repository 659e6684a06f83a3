//! The curvature of the loss along its gradient.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{ExecutionError, Tensor};

/// h over the norm of all weights: how far the two gradients of a difference are taken from the weights.
///
/// A difference of gradients in single precision errs in two ways. Rounding: a gradient carries a relative error of some
/// 1e-7, which the division by 2 h makes about 1e-7 |g| / h; it falls as h grows. Truncation: h^2 / 6 times the second
/// derivative of the curvature along the line; it grows with h^2. Measured on fresh small models (the test
/// `the_sharpness_of_a_language_model_hardly_depends_on_the_step`, on a processor), with h of 1e-3, 3e-4 and 1e-4 of |w|: a
/// transformer 1.7628, 1.7500, 1.7488; an LSTM 0.078358, 0.078356, 0.078368. So at 3e-4 the error is about a thousandth.
pub const RELATIVE_STEP: f64 = 3e-4;

/// u^T H u for the unit vector u along `gradient`, H being the Hessian of the loss: the curvature that a step of gradient
/// descent meets. Gradient descent with rate eta overshoots along u where eta times this is above 2.
///
/// By central differences: (g(w + h u) - g(w - h u)) u / (2 h) = u^T H u + O(h^2), with h = [`RELATIVE_STEP`] |w|, or
/// [`RELATIVE_STEP`] where all weights are 0. For a quadratic loss there is no truncation error.
///
/// `gradient_at` must give the gradient of the same loss each time: of the same batch, with the same dropout. `None` where
/// there is no direction (a gradient of 0) or a number is not finite.
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
    let mut squares = Squares { gradient, weights: Vec::new(), gradients: Vec::new() };
    model.visit(&mut squares);
    let (weights, length) = (read_sum(squares.weights)?.sqrt(), read_sum(squares.gradients)?.sqrt());
    if !(length > 0.0 && length.is_finite() && weights.is_finite()) {
        return Ok(None);
    }
    let step = relative_step * if weights > 0.0 { weights } else { 1.0 };
    let ahead = gradient_at(&shifted(model, gradient, step / length))?;
    let behind = gradient_at(&shifted(model, gradient, -step / length))?;
    let mut products = Products { first: &ahead, second: &behind, direction: gradient, sums: Vec::new() };
    model.visit(&mut products);
    let curvature = read_sum(products.sums)? / length / (2.0 * step);
    Ok(curvature.is_finite().then_some(curvature))
}

/// Squared norms of the parameters that have a gradient, and of their gradients.
struct Squares<'a> {
    gradient: &'a GradientsParams,
    weights: Vec<Tensor<1>>,
    gradients: Vec<Tensor<1>>,
}

impl ModuleVisitor for Squares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradient.get::<D>(param.id) {
            self.weights.push(param.val().inner().square().sum());
            self.gradients.push(gradient.square().sum());
        }
    }
}

/// The sum of some numbers, read in one go and added in double precision.
fn read_sum(numbers: Vec<Tensor<1>>) -> Result<f64, ExecutionError> {
    if numbers.is_empty() {
        return Ok(0.0);
    }
    Ok(Tensor::cat(numbers, 0).try_into_data()?.iter::<f64>().sum())
}

/// The model with `factor` times `direction` added to its weights.
pub(super) fn shifted<M: Module>(model: &M, direction: &GradientsParams, factor: f64) -> M {
    model.clone().map(&mut Shift { direction, factor })
}

struct Shift<'a> {
    direction: &'a GradientsParams,
    factor: f64,
}

impl ModuleMapper for Shift<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        let Some(direction) = self.direction.get::<D>(id) else {
            return Param::from_mapped_value(id, tensor, mapper);
        };
        let requires_gradient = tensor.is_require_grad();
        let checkpointing = tensor.gradient_checkpointing_strategy();
        let mut moved = Tensor::from_inner(tensor.inner().add(direction.mul_scalar(self.factor)));
        if let Some(strategy) = checkpointing {
            moved = moved.with_gradient_checkpointing_strategy(strategy);
        }
        if requires_gradient {
            moved = moved.require_grad();
        }
        Param::from_mapped_value(id, moved, mapper)
    }
}

/// (first - second) direction, a sum for each parameter: the difference is taken first, where most digits cancel.
struct Products<'a> {
    first: &'a GradientsParams,
    second: &'a GradientsParams,
    direction: &'a GradientsParams,
    sums: Vec<Tensor<1>>,
}

impl ModuleVisitor for Products<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let of = |gradients: &GradientsParams| gradients.get::<D>(param.id);
        if let (Some(first), Some(second), Some(direction)) = (of(self.first), of(self.second), of(self.direction)) {
            self.sums.push(first.sub(second).mul(direction).sum());
        }
    }
}
