//! The norm of all gradients together, and clipping by it.

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use kiln_kernels::sum_of_squares;
use kiln_parameters::flat_gradients;

/// The Euclidean norm of the gradient of all parameters of `model` taken as one vector; `None` if there is no gradient.
pub fn global_norm<M: Module>(model: &M, gradients: &GradientsParams) -> Option<GlobalNorm> {
    let gradients = flat_gradients(model, gradients);
    (!gradients.is_empty()).then(|| GlobalNorm(sum_of_squares(gradients).sqrt()))
}

/// A norm that still lies on the device.
pub struct GlobalNorm(pub Tensor<1>);

/// The factor that brings a gradient of norm `norm` down to `limit`, 1 if it is not above.
///
/// As `torch.nn.utils.clip_grad_norm_`: min(1, limit / (norm + 1e-6)).
pub fn clip_coefficient(norm: f64, limit: Option<f64>) -> f64 {
    limit.map_or(1.0, |limit| (limit / (norm + 1e-6)).min(1.0))
}
