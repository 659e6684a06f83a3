//! Linear regression: least squares, whose Hessian is the same everywhere.

use burn::tensor::Tensor;
use kiln_settings::Violation;
use nalgebra::DMatrix;
use serde::{Deserialize, Serialize};

use super::linear_model::{LinearModel, PerSample, largest_square, least_curvature, noise_at_minimum, rounding};
use super::quadratic_form::QuadraticForm;
use super::{Draws, Problem, Sampled};
use crate::constants::{ZERO, solve, solve_singular};
use crate::data::{DataConfig, Targets};
use crate::exact::{LeastSquares, Model};
use crate::{Arithmetic, Constants, Convexity, LabError, Variance};

/// `[problem.linear-regression]`: F(w) = |X w - y|² / (2 n) + l2 |w|² / 2, started from w = 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LinearRegressionConfig {
    /// The samples.
    pub data: DataConfig,
    /// The weight of the penalty, 0 to 1e12. Default `0.0`.
    #[serde(default)]
    pub l2: f64,
}

impl LinearRegressionConfig {
    pub(super) fn validate(&self) -> Vec<Violation> {
        self.data.validate().into_iter().chain(self.penalty()).collect()
    }

    fn penalty(&self) -> Option<Violation> {
        (!(0.0..=1e12).contains(&self.l2))
            .then(|| Violation::new("l2", format!("must be 0 or more, up to 1e12, is {}", self.l2)))
    }

    /// c and L are the extreme eigenvalues of Xᵀ X / n + l2 I, c the smallest that isn't 0; w* solves the normal
    /// equations, and is the shortest solution where there are several.
    pub(super) fn build(&self, seed: u64, arithmetic: &Arithmetic) -> Result<LinearRegression, LabError> {
        let samples = self.data.samples(Targets::Numbers, seed)?;
        let (n, d) = samples.features.shape();
        let hessian = samples.features.transpose() * &samples.features / n as f64 + DMatrix::identity(d, d) * self.l2;
        let eigen = hessian.clone().symmetric_eigen();
        let l = eigen.eigenvalues.max();
        // Features that are all 0 have no direction to learn in.
        if !(l > 0.0 && l.is_finite()) {
            return Err(LabError::Flat { largest: l });
        }
        let least = eigen.eigenvalues.min();
        let c = eigen.eigenvalues.iter().copied().filter(|value| *value > ZERO * l).fold(l, f64::min);
        let right = samples.features.transpose() * &samples.targets / n as f64;
        let regular = Some(()).filter(|()| least > ZERO * l).and_then(|()| solve(&hessian, &right));
        // In the others nothing moves, and rounding must not either.
        let curving = eigen.eigenvalues.map(|value| if value > ZERO * l { value } else { 0.0 });
        let convexity = if regular.is_some() { Convexity::Quadratic } else { Convexity::Singular };
        let minimizer = regular.unwrap_or_else(|| solve_singular(&eigen, &right));
        let residual = &samples.features * &minimizer - &samples.targets;
        let gradient = samples.features.transpose() * &residual / n as f64 + &minimizer * self.l2;
        let constants = Constants {
            strong_convexity: c,
            smoothness: l,
            convexity,
            start_distance: minimizer.norm(),
            noise_at_minimum: noise_at_minimum(&samples, &minimizer, &residual, self.l2),
            samples: Some(n),
            sample_convexity: least_curvature(&samples) + self.l2,
            sample_smoothness: largest_square(&samples) + self.l2,
            minimizer: minimizer.as_slice().to_vec(),
            minimum: residual.norm_squared() / (2 * n) as f64 + self.l2 * minimizer.norm_squared() / 2.0,
            minimizer_error: (gradient.norm() + rounding(&samples, &minimizer, &residual, 1.0, self.l2)) / c,
            variance: Variance::Sampled,
        };
        Ok(LinearRegression {
            config: self.clone(),
            model: LinearModel::new(&samples, self.l2, arithmetic),
            form: QuadraticForm::new(&eigen.eigenvectors, &curving, &minimizer, arithmetic),
            exact: LeastSquares::new(samples.features, residual, minimizer, self.l2, hessian, eigen),
            constants,
        })
    }
}

/// Least squares on a device.
pub(super) struct LinearRegression {
    config: LinearRegressionConfig,
    model: LinearModel,
    form: QuadraticForm,
    exact: LeastSquares,
    constants: Constants,
}

impl Problem for LinearRegression {
    fn dimension(&self) -> usize {
        self.model.data.dimension()
    }

    fn samples(&self) -> Option<usize> {
        Some(self.model.data.samples())
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

    fn sampled(&self, weights: Tensor<2>, batch: usize, draws: &mut Draws) -> Sampled {
        self.model.sampled(weights, batch, draws, self.constants.minimum, |products, targets| {
            let residuals = products.sub(targets);
            PerSample { losses: residuals.clone().square().mul_scalar(0.5), slopes: residuals }
        })
    }

    fn variance(&self, weights: Tensor<2>) -> Option<Tensor<1>> {
        let residuals = self.model.products(&weights).sub(self.model.data.targets.clone());
        let gradient = self.gradient(weights.clone());
        Some(self.model.variance(weights, residuals, gradient))
    }

    fn spectrum(&self) -> Option<&[f64]> {
        Some(self.exact.spectrum())
    }

    fn model(&self) -> Option<Model<'_>> {
        Some(Model::LeastSquares(&self.exact))
    }

    fn describe(&self) -> String {
        format!(
            "linear regression on {}: n = {}, d = {}, l2 = {}",
            self.config.data.describe(),
            self.model.data.samples(),
            self.dimension(),
            self.config.l2
        )
    }
}
