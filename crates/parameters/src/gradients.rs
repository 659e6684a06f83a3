//! Gradients of a module's parameters, flattened.

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

use crate::catalogue::{Parameter, catalogue};
use crate::values::flat;

/// The gradient of a parameter, flattened; `None` if it has none.
///
/// # Panics
/// When the parameter has more than four axes: no parameter of Kiln has.
pub fn flat_gradient(gradients: &GradientsParams, parameter: &Parameter) -> Option<Tensor<1>> {
    let id = parameter.id;
    match parameter.shape.len() {
        1 => gradients.get::<1>(id),
        2 => gradients.get::<2>(id).map(flat),
        3 => gradients.get::<3>(id).map(flat),
        4 => gradients.get::<4>(id).map(flat),
        axes => panic!("the parameter `{}` has {axes} axes", parameter.path),
    }
}

/// The gradients of all parameters of `module` that have one, in its order.
pub fn flat_gradients<M: Module>(module: &M, gradients: &GradientsParams) -> Vec<Tensor<1>> {
    catalogue(module).iter().filter_map(|parameter| flat_gradient(gradients, parameter)).collect()
}
