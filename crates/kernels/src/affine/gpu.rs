//! The operation on a GPU: a product of Kiln's own forward, two backward.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, backend_extension};
#[cfg(feature = "fusion")]
use burn::tensor::Shape;
use burn::tensor::Tensor;
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::into_contiguous;

use crate::autodiff::record;
use crate::cube::{column_sums, sizes};
use crate::product::{Addends, MatrixPrecision, ProductOps};

/// The operation as a backend extension.
#[backend_extension(Autodiff, Cube: cfg(feature = "cube"), Fusion: cfg(feature = "fusion"))]
pub(crate) trait GpuAffineOps: Backend {
    /// `[N, in]`, `[in, out]`, and what the addends say, to `[N, out]`. A bias or residual that is not added may be any
    /// tensor.
    #[fusion(dtype = input, shape = {
        let _ = (bias, residual, addends, precision);
        let ([rows, _], [_, width]): ([usize; 2], [usize; 2]) = (input.dims(), weight.dims());
        Shape::new([rows, width])
    })]
    fn gpu_affine(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        addends: Addends,
        precision: MatrixPrecision,
    ) -> FloatTensor<Self>;
}

/// Its gradients.
#[backend_extension(Cube: cfg(feature = "cube"), Fusion: cfg(feature = "fusion"))]
pub(crate) trait GpuAffineGradients: Backend {
    /// The gradient of the input, `[N, in]`.
    #[fusion(dtype = gradient, shape = {
        let _ = precision;
        let ([rows, _], [inner, _]): ([usize; 2], [usize; 2]) = (gradient.dims(), weight.dims());
        Shape::new([rows, inner])
    })]
    fn gpu_input_gradient(
        gradient: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        precision: MatrixPrecision,
    ) -> FloatTensor<Self>;
    /// The gradient of the weight, `[in, out]`.
    #[fusion(dtype = gradient, shape = {
        let _ = precision;
        let ([_, inner], [_, width]): ([usize; 2], [usize; 2]) = (input.dims(), gradient.dims());
        Shape::new([inner, width])
    })]
    fn gpu_weight_gradient(
        input: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        precision: MatrixPrecision,
    ) -> FloatTensor<Self>;
    /// The gradient of the bias, `[out]`.
    #[fusion(dtype = gradient, shape = {
        let [_, width]: [usize; 2] = gradient.dims();
        Shape::new([width])
    })]
    fn gpu_bias_gradient(gradient: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// As [`affine`](crate::affine), with shapes that fit.
pub(super) fn affine(
    input: Tensor<2>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    residual: Option<Tensor<2>>,
    precision: MatrixPrecision,
) -> Tensor<2> {
    let addends = Addends { bias: bias.is_some(), residual: residual.is_some() };
    let (input, weight) = (input.into_dispatch(), weight.into_dispatch());
    let bias = bias.map_or_else(|| input.clone(), Tensor::into_dispatch);
    let residual = residual.map_or_else(|| input.clone(), Tensor::into_dispatch);
    Tensor::from_dispatch(Dispatch::gpu_affine(input, weight, bias, residual, addends, precision))
}

impl<B: GpuAffineOps + GpuAffineGradients, C: CheckpointStrategy> GpuAffineOps for Autodiff<B, C> {
    fn gpu_affine(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        addends: Addends,
        precision: MatrixPrecision,
    ) -> FloatTensor<Self> {
        let (x, w) = (input.primitive().clone(), weight.primitive().clone());
        let (b, r) = (bias.primitive().clone(), residual.primitive().clone());
        let output = B::gpu_affine(x.clone(), w.clone(), b, r, addends, precision);
        let inputs = [input.node(), weight.node(), bias.node(), residual.node()];
        // A tensor that stands for an addend that is missing gets no gradient as such.
        record::<B, C, _, 4>(
            inputs,
            output,
            (x, w, addends, precision),
            |(x, w, addends, precision), gradient, wanted| {
                let [of_input, of_weight, of_bias, of_residual] = wanted;
                let copy = || gradient.clone();
                [
                    of_input.then(|| B::gpu_input_gradient(copy(), w, precision)),
                    of_weight.then(|| B::gpu_weight_gradient(x, copy(), precision)),
                    (of_bias && addends.bias).then(|| B::gpu_bias_gradient(copy())),
                    (of_residual && addends.residual).then(copy),
                ]
            },
        )
    }
}

impl GpuAffineOps for CubeBackend {
    fn gpu_affine(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        addends: Addends,
        precision: MatrixPrecision,
    ) -> FloatTensor<Self> {
        Self::product(input, weight, bias, residual, addends, precision)
    }
}

/// Nothing is added.
const NO_ADDENDS: Addends = Addends { bias: false, residual: false };

impl GpuAffineGradients for CubeBackend {
    fn gpu_input_gradient(
        gradient: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        precision: MatrixPrecision,
    ) -> FloatTensor<Self> {
        let (bias, residual) = (gradient.clone(), gradient.clone());
        Self::product(gradient, transposed(weight), bias, residual, NO_ADDENDS, precision)
    }

    fn gpu_weight_gradient(
        input: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        precision: MatrixPrecision,
    ) -> FloatTensor<Self> {
        let (bias, residual) = (gradient.clone(), gradient.clone());
        Self::product(transposed(input), gradient, bias, residual, NO_ADDENDS, precision)
    }

    fn gpu_bias_gradient(gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        let gradient = into_contiguous(gradient);
        let [rows, width] = sizes(&gradient);
        column_sums(&gradient, rows, width)
    }
}

/// A view with rows and columns exchanged.
fn transposed(tensor: FloatTensor<CubeBackend>) -> FloatTensor<CubeBackend> {
    <CubeBackend as burn::backend::ops::FloatTensorOps<CubeBackend>>::float_swap_dims(tensor, 0, 1)
}
