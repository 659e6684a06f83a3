//! Linear regression: least squares, whose Hessian is the same everywhere.

use burn::tensor::{Int, Tensor, TensorData};
use kiln_settings::Violation;
use nalgebra::DMatrix;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::quadratic_form::QuadraticForm;
use super::{Problem, Sampled};
use crate::constants::{regular, solve};
use crate::data::{DataConfig, Samples, Targets};
use crate::{Arithmetic, Constants, LabError, Variance};

/// `[problem.linear-regression]`: F(w) = |X w - y|² / (2 n) + l2 |w|² / 2, started from w = 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LinearRegressionConfig {
    /// The samples.
    pub data: DataConfig,
    /// The weight of the penalty, >= 0. Default `0.0`.
    #[serde(default)]
    pub l2: f64,
}

impl LinearRegressionConfig {
    pub(super) fn validate(&self) -> Vec<Violation> {
        let l2 = (!(self.l2 >= 0.0 && self.l2.is_finite()))
            .then(|| Violation::new("l2", format!("must be 0 or more, is {}", self.l2)));
        self.data.validate().into_iter().chain(l2).collect()
    }

    /// c and L are the extreme eigenvalues of Xᵀ X / n + l2 I; w* solves the normal equations.
    pub(super) fn build(&self, seed: u64, arithmetic: &Arithmetic) -> Result<LinearRegression, LabError> {
        let samples = self.data.samples(Targets::Numbers, seed)?;
        let (n, d) = samples.features.shape();
        let hessian = samples.features.transpose() * &samples.features / n as f64 + DMatrix::identity(d, d) * self.l2;
        let (c, l) = regular(&hessian)?;
        let right = samples.features.transpose() * &samples.targets / n as f64;
        let minimizer = solve(&hessian, &right).ok_or(LabError::Singular { smallest: c, largest: l })?;
        let residual = &samples.features * &minimizer - &samples.targets;
        let gradient = samples.features.transpose() * &residual / n as f64 + &minimizer * self.l2;
        let constants = Constants {
            strong_convexity: c,
            smoothness: l,
            minimizer: minimizer.as_slice().to_vec(),
            minimum: residual.norm_squared() / (2 * n) as f64 + self.l2 * minimizer.norm_squared() / 2.0,
            minimizer_error: gradient.norm() / c,
            variance: Variance::Sampled,
        };
        Ok(LinearRegression {
            config: self.clone(),
            data: OnDevice::new(&samples, arithmetic),
            form: QuadraticForm::new(&hessian, &minimizer, arithmetic),
            constants,
        })
    }
}

/// Samples on a device.
pub(super) struct OnDevice {
    /// X, `[n, d]`.
    pub(super) features: Tensor<2>,
    /// y, `[1, n]`.
    pub(super) targets: Tensor<2>,
    arithmetic: Arithmetic,
}

impl OnDevice {
    pub(super) fn new(samples: &Samples, arithmetic: &Arithmetic) -> Self {
        let (n, d) = samples.features.shape();
        Self {
            // nalgebra keeps columns together, Burn rows.
            features: arithmetic.tensor(samples.features.transpose().as_slice().to_vec(), [n, d]),
            targets: arithmetic.tensor(samples.targets.as_slice().to_vec(), [1, n]),
            arithmetic: arithmetic.clone(),
        }
    }

    pub(super) fn samples(&self) -> usize {
        self.features.dims()[0]
    }

    pub(super) fn dimension(&self) -> usize {
        self.features.dims()[1]
    }

    /// A mini-batch for each of `rows` rows, drawn with replacement: features `[R, b, d]` and targets `[R, b]`.
    pub(super) fn draw(&self, rows: usize, batch: usize, draws: &mut ChaCha8Rng) -> (Tensor<3>, Tensor<2>) {
        let (n, d) = (self.samples(), self.dimension());
        let chosen: Vec<i64> = (0..rows * batch).map(|_| draws.random_range(0..n) as i64).collect();
        let chosen: Tensor<1, Int> =
            Tensor::from_data(TensorData::new(chosen, [rows * batch]), self.arithmetic.device());
        let features = self.features.clone().select(0, chosen.clone()).reshape([rows, batch, d]);
        let targets = self.targets.clone().select(1, chosen).reshape([rows, batch]);
        (features, targets)
    }
}

/// l2 |w|² / 2 of each row.
pub(super) fn penalty(weights: &Tensor<2>, l2: f64) -> Tensor<1> {
    weights.clone().square().sum_dim(1).squeeze_dim::<1>(1).mul_scalar(l2 / 2.0)
}

/// The products of weights with a mini-batch's features: `[R, b, d]`, `[R, d]` -> `[R, b]`.
pub(super) fn products(features: &Tensor<3>, weights: &Tensor<2>) -> Tensor<2> {
    features.clone().matmul(weights.clone().unsqueeze_dim::<3>(2)).squeeze_dim::<2>(2)
}

/// The mean over a mini-batch of a factor times the features: `[R, b]`, `[R, b, d]` -> `[R, d]`.
pub(super) fn mean_of(factors: Tensor<2>, features: Tensor<3>) -> Tensor<2> {
    let batch = features.dims()[1] as f64;
    factors.unsqueeze_dim::<3>(1).matmul(features).squeeze_dim::<2>(1).div_scalar(batch)
}

/// Least squares on a device.
pub(super) struct LinearRegression {
    config: LinearRegressionConfig,
    data: OnDevice,
    form: QuadraticForm,
    constants: Constants,
}

impl LinearRegression {
    /// X w - y of every sample, `[R, n]`.
    fn residuals(&self, weights: &Tensor<2>) -> Tensor<2> {
        weights.clone().matmul(self.data.features.clone().transpose()).sub(self.data.targets.clone())
    }
}

impl Problem for LinearRegression {
    fn dimension(&self) -> usize {
        self.data.dimension()
    }

    fn samples(&self) -> Option<usize> {
        Some(self.data.samples())
    }

    fn start(&self) -> Vec<f64> {
        vec![0.0; self.dimension()]
    }

    fn constants(&self) -> Option<&Constants> {
        Some(&self.constants)
    }

    /// (w - w*)ᵀ H (w - w*) / 2, which keeps its digits near the minimum.
    fn excess(&self, weights: Tensor<2>) -> Tensor<1> {
        self.form.value(weights)
    }

    fn gradient(&self, weights: Tensor<2>) -> Tensor<2> {
        self.form.gradient(weights)
    }

    fn sampled(&self, weights: Tensor<2>, batch: usize, draws: &mut ChaCha8Rng) -> Sampled {
        let (features, targets) = self.data.draw(weights.dims()[0], batch, draws);
        let residuals = products(&features, &weights).sub(targets);
        let losses = residuals.clone().square().mean_dim(1).squeeze_dim::<1>(1).mul_scalar(0.5);
        Sampled {
            loss: losses.add(penalty(&weights, self.config.l2)).sub_scalar(self.constants.minimum),
            gradient: mean_of(residuals, features).add(weights.mul_scalar(self.config.l2)),
        }
    }

    /// Mean over the samples of |x_i r_i + l2 w|² less |grad F|².
    fn variance(&self, weights: Tensor<2>) -> Option<Tensor<1>> {
        let factors = self.residuals(&weights);
        let common = weights.clone().mul_scalar(self.config.l2);
        Some(variance_of(factors, &self.data, common, self.gradient(weights)))
    }

    fn describe(&self) -> String {
        format!(
            "linear regression on {}: n = {}, d = {}, l2 = {}",
            self.config.data.describe(),
            self.data.samples(),
            self.dimension(),
            self.config.l2
        )
    }
}

/// The variance of a single sample's gradient f_i x_i + p around the full one: factors f `[R, n]`, common part p `[R, d]`.
pub(super) fn variance_of(factors: Tensor<2>, data: &OnDevice, common: Tensor<2>, gradient: Tensor<2>) -> Tensor<1> {
    let n = data.samples() as f64;
    let row_sum = |tensor: Tensor<2>| tensor.sum_dim(1).squeeze_dim::<1>(1);
    // |f_i x_i + p|² = f_i² |x_i|² + 2 f_i x_iᵀ p + |p|²; the mean of f_i x_i is grad F - p.
    let lengths = data.features.clone().square().sum_dim(1).transpose();
    let squares = row_sum(factors.square().mul(lengths)).div_scalar(n);
    let crossed = row_sum(common.clone().mul(gradient.clone().sub(common.clone()))).mul_scalar(2.0);
    squares.add(crossed).add(row_sum(common.square())).sub(row_sum(gradient.square())).clamp_min(0.0)
}
