//! The norm of all gradients together.

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
