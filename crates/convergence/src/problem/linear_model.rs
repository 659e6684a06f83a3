//! A linear model with an L2 penalty, F(w) = mean of l(x_iᵀ w, y_i) + l2 |w|² / 2, for any loss l: what linear and
//! logistic regression share.

use burn::tensor::Tensor;
use nalgebra::DVector;

use super::on_device::OnDevice;
use super::{Draws, Sampled};
use crate::Arithmetic;
use crate::data::Samples;

/// The loss of each sample and its derivative by the product x_iᵀ w, both of the shape of the products.
pub(super) struct PerSample {
    pub(super) losses: Tensor<2>,
    pub(super) slopes: Tensor<2>,
}

/// What rounding may have done to the computed gradient at w, a bound: `slopes` are the derivatives l'(x_iᵀ w),
/// `curvature` the largest second derivative of l. A product of d terms is off by d units in the last place, and the
/// sum over n samples by n.
pub(super) fn rounding(
    samples: &Samples,
    weights: &DVector<f64>,
    slopes: &DVector<f64>,
    curvature: f64,
    l2: f64,
) -> f64 {
    let (n, d) = samples.features.shape();
    let lengths: Vec<f64> = samples.features.row_iter().map(|row| row.norm()).collect();
    let of_sum = lengths.iter().zip(slopes.iter()).map(|(length, slope)| length * slope.abs()).sum::<f64>();
    let targets = samples.targets.amax();
    let of_products = lengths
        .iter()
        .map(|length| length * (d as f64 * length * weights.norm() * curvature + 2.0 * targets))
        .sum::<f64>();
    f64::EPSILON * (of_sum + of_products / n as f64 + 2.0 * l2 * weights.norm())
}

/// sigma*²: the mean over the samples of |f_i x_i + l2 w*|², where the full gradient is 0.
pub(super) fn noise_at_minimum(samples: &Samples, weights: &DVector<f64>, slopes: &DVector<f64>, l2: f64) -> f64 {
    let penalty = weights * l2;
    let rows = samples.features.row_iter().zip(slopes.iter());
    let squares = rows.map(|(row, slope)| (row.transpose() * *slope + &penalty).norm_squared());
    squares.sum::<f64>() / slopes.len() as f64
}

/// The largest |x_i|².
pub(super) fn largest_square(samples: &Samples) -> f64 {
    samples.features.row_iter().map(|row| row.norm_squared()).fold(0.0, f64::max)
}

/// The smallest eigenvalue of any x_i x_iᵀ: 0 but for a single feature.
pub(super) fn least_curvature(samples: &Samples) -> f64 {
    if samples.features.ncols() > 1 {
        return 0.0;
    }
    samples.features.iter().map(|feature| feature * feature).fold(f64::INFINITY, f64::min)
}

/// The samples of a linear model on a device, with the weight of its penalty.
pub(super) struct LinearModel {
    pub(super) data: OnDevice,
    pub(super) l2: f64,
}

impl LinearModel {
    pub(super) fn new(samples: &Samples, l2: f64, arithmetic: &Arithmetic) -> Self {
        Self { data: OnDevice::new(samples, arithmetic), l2 }
    }

    /// x_iᵀ w of every sample, `[R, d]` -> `[R, n]`.
    pub(super) fn products(&self, weights: &Tensor<2>) -> Tensor<2> {
        weights.clone().matmul(self.data.features.clone().transpose())
    }

    /// l2 |w|² / 2 of each row, `[R, d]` -> `[R]`.
    pub(super) fn penalty(&self, weights: &Tensor<2>) -> Tensor<1> {
        weights.clone().square().sum_dim(1).squeeze_dim::<1>(1).mul_scalar(self.l2 / 2.0)
    }

    /// Gradient and loss, less `minimum`, of a mini-batch for each row; `loss` gets the products `[R, b]` and the
    /// targets `[R, b]`.
    pub(super) fn sampled(
        &self,
        weights: Tensor<2>,
        batch: usize,
        draws: &mut Draws,
        minimum: f64,
        loss: impl FnOnce(Tensor<2>, Tensor<2>) -> PerSample,
    ) -> Sampled {
        let (features, targets) = self.data.draw(weights.dims()[0], batch, draws);
        let products = features.clone().matmul(weights.clone().unsqueeze_dim::<3>(2)).squeeze_dim::<2>(2);
        let PerSample { losses, slopes } = loss(products, targets);
        let mean_loss = losses.mean_dim(1).squeeze_dim::<1>(1);
        let mean_slope = slopes.unsqueeze_dim::<3>(1).matmul(features).squeeze_dim::<2>(1).div_scalar(batch as f64);
        Sampled {
            loss: mean_loss.add(self.penalty(&weights)).sub_scalar(minimum),
            gradient: mean_slope.add(weights.mul_scalar(self.l2)),
        }
    }

    /// The variance of a single sample's gradient f_i x_i + p about the full one, for slopes f `[R, n]` and p = l2 w:
    /// the mean over the samples of |f_i x_i + p|², less |grad F|². `[R, d]` -> `[R]`.
    pub(super) fn variance(&self, weights: Tensor<2>, slopes: Tensor<2>, gradient: Tensor<2>) -> Tensor<1> {
        let n = self.data.samples() as f64;
        let common = weights.mul_scalar(self.l2);
        let row_sum = |tensor: Tensor<2>| tensor.sum_dim(1).squeeze_dim::<1>(1);
        // |f_i x_i + p|² = f_i² |x_i|² + 2 f_i x_iᵀ p + |p|²; the mean of f_i x_i is grad F - p.
        let lengths = self.data.features.clone().square().sum_dim(1).transpose();
        let squares = row_sum(slopes.square().mul(lengths)).div_scalar(n);
        let crossed = row_sum(common.clone().mul(gradient.clone().sub(common.clone()))).mul_scalar(2.0);
        squares.add(crossed).add(row_sum(common.square())).sub(row_sum(gradient.square())).clamp_min(0.0)
    }
}
