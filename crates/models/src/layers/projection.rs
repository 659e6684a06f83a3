//! An affine map of the last axis.

use burn::module::{Module, Param};
use burn::tensor::{Tensor, assert_shape};

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
        let [width, _] = self.weight.dims();
        assert_shape!(input, [_, width]);
        burn::tensor::module::linear(input, self.weight.val(), self.bias.as_ref().map(Param::val))
    }

    /// Columns `start..start + count` of what [`forward`](Self::forward) gives.
    ///
    /// Several parts of one matrix are taken as several products with parts of the weights. Burn differentiates a slice
    /// into zeros of the size of the whole, and the weights are smaller than the activations.
    pub(crate) fn forward_columns(&self, input: Tensor<2>, start: usize, count: usize) -> Tensor<2> {
        let [width, _] = self.weight.dims();
        assert_shape!(input, [_, width]);
        let bias = self.bias.as_ref().map(|bias| bias.val().narrow(0, start, count));
        burn::tensor::module::linear(input, self.weight.val().narrow(1, start, count), bias)
    }

    /// Number of columns.
    pub(crate) fn output_width(&self) -> usize {
        self.weight.dims()[1]
    }
}
