//! The norm of all gradients together, and clipping by it.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use kiln_kernels::sum_of_squares;

use super::walk::flat;

/// The Euclidean norm of the gradient of all parameters of `model` taken as one vector; `None` if there is no gradient.
pub fn global_norm<M: Module>(model: &M, gradients: &GradientsParams) -> Option<GlobalNorm> {
    let mut visitor = GradientVisitor { gradients, flat: Vec::new() };
    model.visit(&mut visitor);
    (!visitor.flat.is_empty()).then(|| GlobalNorm(sum_of_squares(visitor.flat).sqrt()))
}

/// A norm that still lies on the device.
pub struct GlobalNorm(pub Tensor<1>);

/// The factor that brings a gradient of norm `norm` down to `limit`, 1 if it is not above.
///
/// As `torch.nn.utils.clip_grad_norm_`: min(1, limit / (norm + 1e-6)).
pub fn clip_coefficient(norm: f64, limit: Option<f64>) -> f64 {
    limit.map_or(1.0, |limit| (limit / (norm + 1e-6)).min(1.0))
}

struct GradientVisitor<'a> {
    gradients: &'a GradientsParams,
    flat: Vec<Tensor<1>>,
}

impl ModuleVisitor for GradientVisitor<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            self.flat.push(flat(gradient));
        }
    }
}
