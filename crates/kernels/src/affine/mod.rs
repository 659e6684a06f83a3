//! y = x W + b (+ r): a product with bias and residual folded in.

mod cpu;
mod flex;
#[cfg(feature = "cube")]
mod gpu;
pub(crate) mod reference;
#[cfg(test)]
mod tests;

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, ExtensionType, backend_extension};
use burn::tensor::Tensor;

use crate::autodiff::record;
use crate::flex::has_fast_body;
use crate::product::MatrixPrecision;
use crate::product::rounding::precision_on_cpu;

/// A tensor that may be missing.
#[derive(ExtensionType)]
pub(crate) enum Optional<B: Backend> {
    /// It is there.
    Present(FloatTensor<B>),
    /// It is not.
    Absent,
}

impl<B: Backend> Optional<B> {
    pub(crate) fn into_option(self) -> Option<FloatTensor<B>> {
        match self {
            Self::Present(tensor) => Some(tensor),
            Self::Absent => None,
        }
    }
}

pub(crate) fn optional<const D: usize>(tensor: Option<Tensor<D>>) -> Optional<Dispatch> {
    tensor.map_or(Optional::Absent, |tensor| Optional::Present(tensor.into_dispatch()))
}

/// The operation as a backend extension.
#[backend_extension(Autodiff, Flex)]
pub(crate) trait AffineOps: Backend {
    /// `[N, in]`, `[in, out]`, `[out]` and `[N, out]` to `[N, out]`.
    fn affine(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        #[extension_type] bias: Optional<Self>,
        #[extension_type] residual: Optional<Self>,
    ) -> FloatTensor<Self>;
}

/// Its gradients.
pub(crate) trait AffineGradients: Backend {
    /// Gradients of input, weight and bias from that of the output; those that are not wanted are not computed.
    fn affine_backward(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        wanted: [bool; 3],
    ) -> [Option<FloatTensor<Self>>; 3];
}

/// `x W + b + r`, without the b or the r that is `None`.
///
/// # Shapes
/// - `input`: `[N, in]`
/// - `weight`: `[in, out]`; a transposed view is read as it lies
/// - `bias`: `[out]`
/// - `residual`: `[N, out]`
/// - output: `[N, out]`
///
/// # Panics
/// If the shapes do not fit.
pub fn affine(input: Tensor<2>, weight: Tensor<2>, bias: Option<Tensor<1>>, residual: Option<Tensor<2>>) -> Tensor<2> {
    let ([rows, inner], [height, width]) = (input.dims(), weight.dims());
    assert_eq!(inner, height, "an input of {inner} columns does not fit a weight of {height} rows");
    if let Some(bias) = &bias {
        assert_eq!(bias.dims(), [width], "a bias must have as many numbers as the weight has columns");
    }
    if let Some(residual) = &residual {
        assert_eq!(residual.dims(), [rows, width], "a residual must have the shape of the output");
    }
    #[cfg(feature = "cube")]
    {
        let precision = crate::choice::matrix_precision();
        if crate::product::is_product_for(&input, &weight, precision) {
            return gpu::affine(input, weight, bias, residual, precision);
        }
    }
    if precision_on_cpu(&input) == MatrixPrecision::Mixed {
        return reference::mixed_affine(input, weight, bias, residual);
    }
    if !has_fast_body(&input) {
        return reference::affine(input, weight, bias, residual);
    }
    let (bias, residual) = (optional(bias), optional(residual));
    let output = Dispatch::affine(input.into_dispatch(), weight.into_dispatch(), bias, residual);
    Tensor::from_dispatch(output)
}

impl<B: AffineOps + AffineGradients, C: CheckpointStrategy> AffineOps for Autodiff<B, C> {
    fn affine(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Optional<Self>,
        residual: Optional<Self>,
    ) -> FloatTensor<Self> {
        let (bias, residual) = (bias.into_option(), residual.into_option());
        let inner = |tensor: &Option<FloatTensor<Self>>| match tensor {
            Some(tensor) => Optional::<B>::Present(tensor.primitive().clone()),
            None => Optional::Absent,
        };
        let (x, w) = (input.primitive().clone(), weight.primitive().clone());
        let output = B::affine(x.clone(), w.clone(), inner(&bias), inner(&residual));
        let (input, weight) = (input.node(), weight.node());
        match (bias, residual) {
            (None, None) => {
                record::<B, C, _, 2>([input, weight], output, (x, w), |(x, w), gradient, [input, weight]| {
                    let [input, weight, _] = B::affine_backward(x, w, gradient, [input, weight, false]);
                    [input, weight]
                })
            }
            (Some(bias), None) => {
                let inputs = [input, weight, bias.node()];
                record::<B, C, _, 3>(inputs, output, (x, w), |(x, w), gradient, wanted| {
                    B::affine_backward(x, w, gradient, wanted)
                })
            }
            (None, Some(residual)) => {
                let inputs = [input, weight, residual.node()];
                record::<B, C, _, 3>(inputs, output, (x, w), |(x, w), gradient, [input, weight, _]| {
                    let [input, weight, _] = B::affine_backward(x, w, gradient.clone(), [input, weight, false]);
                    [input, weight, Some(gradient)]
                })
            }
            (Some(bias), Some(residual)) => {
                let inputs = [input, weight, bias.node(), residual.node()];
                record::<B, C, _, 4>(inputs, output, (x, w), |(x, w), gradient, [input, weight, bias, _]| {
                    let [input, weight, bias] = B::affine_backward(x, w, gradient.clone(), [input, weight, bias]);
                    [input, weight, bias, Some(gradient)]
                })
            }
        }
    }
}
