//! (w - w*)ᵀ A (w - w*) / 2: a quadratic, and what least squares is about its minimum.

use burn::tensor::Tensor;
use nalgebra::{DMatrix, DVector};

use crate::Arithmetic;

/// A quadratic form about its minimum, on a device. Taken as it stands here, it keeps its digits near the minimum.
pub(super) struct QuadraticForm {
    /// A, `[d, d]`.
    hessian: Tensor<2>,
    /// w*, `[1, d]`.
    minimizer: Tensor<2>,
}

impl QuadraticForm {
    /// The form of a symmetric matrix about a point.
    pub(super) fn new(hessian: &DMatrix<f64>, minimizer: &DVector<f64>, arithmetic: &Arithmetic) -> Self {
        let d = minimizer.len();
        Self {
            hessian: arithmetic.tensor(hessian.as_slice().to_vec(), [d, d]),
            minimizer: arithmetic.tensor(minimizer.as_slice().to_vec(), [1, d]),
        }
    }

    /// w - w* of each row, `[R, d]` -> `[R, d]`.
    pub(super) fn error(&self, weights: Tensor<2>) -> Tensor<2> {
        weights.sub(self.minimizer.clone())
    }

    /// The form at each row, `[R, d]` -> `[R]`.
    pub(super) fn value(&self, weights: Tensor<2>) -> Tensor<1> {
        let error = self.error(weights);
        error.clone().matmul(self.hessian.clone()).mul(error).sum_dim(1).squeeze_dim::<1>(1).mul_scalar(0.5)
    }

    /// Its gradient A (w - w*) at each row, `[R, d]` -> `[R, d]`.
    pub(super) fn gradient(&self, weights: Tensor<2>) -> Tensor<2> {
        self.error(weights).matmul(self.hessian.clone())
    }
}
