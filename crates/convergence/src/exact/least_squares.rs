//! Least squares, with mini-batches drawn with replacement.

use nalgebra::{DMatrix, DVector, SymmetricEigen};

use super::{AdditiveNoise, Direction};
use crate::constants::{ZERO, symmetric};

/// Least squares with its samples, from w = 0.
#[derive(Debug, Clone)]
pub struct LeastSquares {
    /// X, `[n, d]`.
    features: DMatrix<f64>,
    /// x_iᵀ w* - y_i, `[n]`.
    residuals: DVector<f64>,
    /// w*, `[d]`.
    minimizer: DVector<f64>,
    /// The weight of the penalty.
    l2: f64,
    /// H = Xᵀ X / n + l2 I.
    hessian: DMatrix<f64>,
    eigen: SymmetricEigen<f64, nalgebra::Dyn>,
    quadratic: AdditiveNoise,
    spectrum: Vec<f64>,
}

/// E e and E e eᵀ, e = w - w*.
pub(super) struct Moments {
    mean: DVector<f64>,
    pub(super) second: DMatrix<f64>,
}

/// Steps of the power iteration, which ends far earlier unless two eigenvalues are close.
const MOST_ITERATIONS: usize = 400;

impl LeastSquares {
    /// Of samples, with their minimum.
    pub(crate) fn new(
        features: DMatrix<f64>,
        residuals: DVector<f64>,
        minimizer: DVector<f64>,
        l2: f64,
        hessian: DMatrix<f64>,
        eigen: SymmetricEigen<f64, nalgebra::Dyn>,
    ) -> Self {
        let along = eigen.eigenvectors.tr_mul(&minimizer);
        let least = ZERO * eigen.eigenvalues.max();
        // In the others nothing ever moves.
        let directions = eigen.eigenvalues.iter().zip(along.iter()).filter(|(eigenvalue, _)| **eigenvalue > least);
        let directions = directions
            .map(|(eigenvalue, along)| Direction { eigenvalue: *eigenvalue, start: eigenvalue * along * along / 2.0 });
        let quadratic = AdditiveNoise { directions: directions.collect(), variance: 0.0 };
        let spectrum = quadratic.directions.iter().map(|direction| direction.eigenvalue).collect();
        Self { features, residuals, minimizer, l2, hessian, eigen, quadratic, spectrum }
    }

    /// The same F without noise.
    pub(super) fn quadratic(&self) -> &AdditiveNoise {
        &self.quadratic
    }

    /// The spectrum of the Hessian, without 0.
    pub(crate) fn spectrum(&self) -> &[f64] {
        &self.spectrum
    }

    /// n d², multiplications an update.
    pub(super) fn work(&self) -> f64 {
        let (n, d) = self.features.shape();
        n as f64 * (d * d) as f64
    }

    /// E F(w_t) - F* = tr(H M) / 2 at each of `times`, with M = E e eᵀ, m = E e and e = w - w*:
    ///
    /// M' = M - eta (H M + M H) + eta² (H M H + C / b), m' = (I - eta H) m,
    ///
    /// where C is the covariance of a single sample's gradient.
    pub(crate) fn path(&self, batch: usize, rates: &[f64], times: &[u64]) -> Vec<f64> {
        let mut moments = self.start();
        let mut made = 0;
        let mut path = Vec::with_capacity(times.len());
        for time in times {
            for rate in &rates[made..*time as usize] {
                self.update(&mut moments, batch, *rate);
            }
            made = *time as usize;
            path.push(self.hessian.component_mul(&moments.second).sum() / 2.0);
        }
        path
    }

    /// The moments of e at w = 0.
    pub(super) fn start(&self) -> Moments {
        let mean = -&self.minimizer;
        Moments { second: &mean * mean.transpose(), mean }
    }

    /// An update of the moments of e.
    pub(super) fn update(&self, Moments { mean, second }: &mut Moments, batch: usize, rate: f64) {
        let h = &self.hessian;
        let first_order = h * &*second;
        let full = &first_order * h;
        let sampled = self.covariance(second, Some(mean)) / batch as f64;
        *second += (full + sampled) * (rate * rate) - (&first_order + first_order.transpose()) * rate;
        *second = symmetric(second);
        *mean -= h * &*mean * rate;
    }

    /// H.
    pub(super) fn hessian(&self) -> &DMatrix<f64> {
        &self.hessian
    }

    /// The covariance C of a single sample's gradient, averaged over weights with the moments M and m: of the vectors
    /// a_i = x_i (x_iᵀ e + r_i) it is the mean of a_i a_iᵀ less that of the product of their mean with itself, which is
    /// S e - l2 w* with S = Xᵀ X / n. Without m only the part of second order in e.
    fn covariance(&self, second: &DMatrix<f64>, mean: Option<&DVector<f64>>) -> DMatrix<f64> {
        let n = self.features.nrows();
        // x_iᵀ M x_i + 2 r_i x_iᵀ m + r_i².
        let mut squares = (&self.features * second).component_mul(&self.features).column_sum();
        if let Some(mean) = mean {
            let products = &self.features * mean;
            squares += (products * 2.0 + &self.residuals).component_mul(&self.residuals);
        }
        let mut scaled = self.features.clone();
        for mut column in scaled.column_iter_mut() {
            column.component_mul_assign(&squares);
        }
        let mut covariance = self.features.tr_mul(&scaled) / n as f64;
        let d = self.hessian.nrows();
        let s = &self.hessian - DMatrix::identity(d, d) * self.l2;
        covariance -= &s * second * &s;
        if let Some(mean) = mean {
            let (along, penalty) = (&s * mean, &self.minimizer * self.l2);
            covariance += &along * penalty.transpose() + &penalty * along.transpose() - &penalty * penalty.transpose();
        }
        covariance
    }

    /// The constant rate from which on E |w - w*|² grows without end, though 2 / L may be larger: the noise that grows
    /// with the weights wins. `None` where it would take more than `most` multiplications.
    ///
    /// With L M = H M + M H and N M = H M H + C(M) / b an update takes M to M - eta L M + eta² N M. It keeps positive
    /// matrices positive, so its largest eigenvalue has a positive eigenvector, and passes 1 where L M = eta N M: at
    /// eta = 1 / the largest eigenvalue of the inverse of L times N, which also keeps them positive. By the power
    /// iteration.
    pub(crate) fn stability_limit(&self, batch: usize, most: f64) -> Option<f64> {
        if self.work() * MOST_ITERATIONS as f64 > most {
            return None;
        }
        let (h, q, eigenvalues) = (&self.hessian, &self.eigen.eigenvectors, &self.eigen.eigenvalues);
        let d = h.nrows();
        let mut second: DMatrix<f64> = DMatrix::identity(d, d) / d as f64;
        let mut largest = 0.0;
        for _ in 0..MOST_ITERATIONS {
            let grown = h * &second * h + self.covariance(&second, None) / batch as f64;
            // In the directions of H the inverse of L divides by the sum of two eigenvalues, and nothing grows where
            // both are 0.
            let mut along = q.tr_mul(&grown) * q;
            for (index, entry) in along.iter_mut().enumerate() {
                let sum = eigenvalues[index % d] + eigenvalues[index / d];
                *entry = if sum > ZERO * eigenvalues.max() { *entry / sum } else { 0.0 };
            }
            let next = symmetric(&(q * along * q.transpose()));
            let before: f64 = largest;
            largest = next.trace();
            second = next / largest;
            if (largest - before).abs() <= 1e-12 * largest {
                break;
            }
        }
        Some(1.0 / largest).filter(|limit| limit.is_finite())
    }
}
