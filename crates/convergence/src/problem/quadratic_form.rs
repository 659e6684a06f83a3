//! (w - w*)ᵀ A (w - w*) / 2: a quadratic, and what least squares is about its minimum.

use burn::tensor::Tensor;
use nalgebra::{DMatrix, DVector};

use crate::Arithmetic;

/// A quadratic form about its minimum, on a device. Taken as it stands here, it keeps its digits near the minimum.
pub(super) struct QuadraticForm {
    /// Q, the eigenvectors of A as columns, `[d, d]`.
    directions: Tensor<2>,
    /// Lambda, its eigenvalues, `[1, d]`.
    eigenvalues: Tensor<2>,
    /// w*, `[1, d]`.
    minimizer: Tensor<2>,
}

impl QuadraticForm {
    /// The form of a symmetric matrix, given by its eigenvectors and eigenvalues, about a point.
    pub(super) fn new(
        directions: &DMatrix<f64>,
        eigenvalues: &DVector<f64>,
        minimizer: &DVector<f64>,
        arithmetic: &Arithmetic,
    ) -> Self {
        let d = minimizer.len();
        Self {
            // nalgebra keeps columns together, Burn rows.
            directions: arithmetic.tensor(directions.transpose().as_slice().to_vec(), [d, d]),
            eigenvalues: arithmetic.tensor(eigenvalues.as_slice().to_vec(), [1, d]),
            minimizer: arithmetic.tensor(minimizer.as_slice().to_vec(), [1, d]),
        }
    }

    /// w - w* of each row, `[R, d]` -> `[R, d]`.
    pub(super) fn error(&self, weights: Tensor<2>) -> Tensor<2> {
        weights.sub(self.minimizer.clone())
    }

    /// The form at each row, `[R, d]` -> `[R]`.
    pub(super) fn value(&self, weights: Tensor<2>) -> Tensor<1> {
        let squares = self.along(weights).square().mul(self.eigenvalues.clone());
        squares.sum_dim(1).squeeze_dim::<1>(1).mul_scalar(0.5)
    }

    /// Its gradient A (w - w*) at each row, `[R, d]` -> `[R, d]`.
    pub(super) fn gradient(&self, weights: Tensor<2>) -> Tensor<2> {
        self.along(weights).mul(self.eigenvalues.clone()).matmul(self.directions.clone().transpose())
    }

    /// Qᵀ (w - w*) of each row. A itself holds small eigenvalues with the rounding of the largest, which flat
    /// directions, in which errors are large, would make visible.
    fn along(&self, weights: Tensor<2>) -> Tensor<2> {
        self.error(weights).matmul(self.directions.clone())
    }
}
