//! The product as a backend extension.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, DispatchDevice, backend_extension};
#[cfg(feature = "fusion")]
use burn::tensor::Shape;
use burn::tensor::Tensor;

use super::{MatrixPrecision, cube};
use crate::choice::GpuKernel;

/// What is added to a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Addends {
    /// A number for each column.
    pub(crate) bias: bool,
    /// A number for each number of the product.
    pub(crate) residual: bool,
}

/// The operation as a backend extension.
#[backend_extension(Cube: cfg(feature = "cube"), Fusion: cfg(feature = "fusion"))]
pub(crate) trait ProductOps: Backend {
    /// `[M, K]` and `[K, N]`, either of which may be a transposed view, to `[M, N]`. A bias `[N]` and a residual `[M,
    /// N]` that are not added may be any tensors.
    #[fusion(dtype = left, shape = {
        let _ = (bias, residual, addends, precision);
        let ([rows, _], [_, columns]): ([usize; 2], [usize; 2]) = (left.dims(), right.dims());
        Shape::new([rows, columns])
    })]
    fn product(
        left: FloatTensor<Self>,
        right: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        addends: Addends,
        precision: MatrixPrecision,
    ) -> FloatTensor<Self>;
}

/// Whether Kiln's kernels multiply these on the device where they lie.
pub(crate) fn is_product_for(input: &Tensor<2>, weight: &Tensor<2>, precision: MatrixPrecision) -> bool {
    let ([rows, inner], [_, width]) = (input.dims(), weight.dims());
    if !GpuKernel::Product.is_for(input) || rows * inner * width == 0 {
        return false;
    }
    match input.device().inner().as_dispatch() {
        DispatchDevice::Cube(device) => cube::is_possible(&device.client(), precision),
        _ => false,
    }
}

/// As [`super::matrix_product`].
pub(super) fn matrix_product(left: &Tensor<2>, right: &Tensor<2>, precision: MatrixPrecision) -> Option<Tensor<2>> {
    if !is_product_for(left, right, precision) {
        return None;
    }
    let (left, right) = (left.clone().into_dispatch(), right.clone().into_dispatch());
    let addends = Addends { bias: false, residual: false };
    let (bias, residual) = (left.clone(), left.clone());
    Some(Tensor::from_dispatch(Dispatch::product(left, right, bias, residual, addends, precision)))
}
