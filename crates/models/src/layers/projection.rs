//! An affine map of the last axis.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use kiln_kernels::affine;

/// y = x W + b.
///
/// W is stored as `[in, out]`, the transpose of PyTorch's `Linear.weight`. The struct has a name of its own because
/// burn-store's PyTorch adapter transposes whatever belongs to a `Linear`.
#[derive(Module, Debug)]
pub struct Projection {
    /// W, `[in, out]`.
    pub weight: Param<Tensor<2>>,
    /// b, `[out]`; `None` leaves it out.
    pub bias: Option<Param<Tensor<1>>>,
}

impl Projection {
    /// Maps `[N, in]` to `[N, out]`: two axes, because one product of all rows is faster than one for each window.
    pub(crate) fn forward(&self, input: Tensor<2>) -> Tensor<2> {
        affine(input, self.weight.val(), self.bias.as_ref().map(Param::val), None)
    }

    /// The same, added to `residual` `[N, out]`.
    pub(crate) fn forward_onto(&self, residual: Tensor<2>, input: Tensor<2>) -> Tensor<2> {
        affine(input, self.weight.val(), self.bias.as_ref().map(Param::val), Some(residual))
    }
}
