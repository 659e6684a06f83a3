//! Regression with a loss that forgives outliers: not convex, with a known L.

use burn::tensor::Tensor;
use kiln_settings::Violation;
use serde::{Deserialize, Serialize};

use super::linear_model::{LinearModel, PerSample};
use super::{Draws, Problem, Sampled};
use crate::constants::extreme_eigenvalues;
use crate::data::{DataConfig, Targets};
use crate::{Arithmetic, Constants, LabError};

/// `[problem.robust-regression]`: F(w) = mean of r_i² / (2 (1 + r_i²)) with r_i = x_iᵀ w - y_i (Geman and McClure
/// 1987), started from w = 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RobustRegressionConfig {
    /// The samples.
    pub data: DataConfig,
}

impl RobustRegressionConfig {
    pub(super) fn validate(&self) -> Vec<Violation> {
        self.data.validate()
    }

    /// The loss has the second derivative (1 - 3 r²) / (1 + r²)³, from -1/4 at r = 1 to 1 at r = 0: L is the largest
    /// eigenvalue of Xᵀ X / n.
    pub(super) fn build(&self, seed: u64, arithmetic: &Arithmetic) -> Result<RobustRegression, LabError> {
        let samples = self.data.samples(Targets::Numbers, seed)?;
        let n = samples.targets.len() as f64;
        let (_, smoothness) = extreme_eigenvalues(&(samples.features.transpose() * &samples.features / n));
        if !(smoothness > 0.0 && smoothness.is_finite()) {
            return Err(LabError::Flat { largest: smoothness });
        }
        Ok(RobustRegression { config: self.clone(), model: LinearModel::new(&samples, 0.0, arithmetic), smoothness })
    }
}

/// Robust regression on a device.
pub(super) struct RobustRegression {
    config: RobustRegressionConfig,
    model: LinearModel,
    smoothness: f64,
}

impl RobustRegression {
    /// r² / (2 (1 + r²)) and its derivative r / (1 + r²)².
    fn of_residuals(residuals: Tensor<2>) -> PerSample {
        let squares = residuals.clone().square();
        let inverse = squares.clone().add_scalar(1.0).recip();
        PerSample {
            losses: squares.mul(inverse.clone()).mul_scalar(0.5),
            slopes: residuals.mul(inverse.clone()).mul(inverse),
        }
    }

    fn of_all(&self, weights: &Tensor<2>) -> PerSample {
        Self::of_residuals(self.model.products(weights).sub(self.model.data.targets.clone()))
    }
}

impl Problem for RobustRegression {
    fn dimension(&self) -> usize {
        self.model.data.dimension()
    }

    fn samples(&self) -> Option<usize> {
        Some(self.model.data.samples())
    }

    fn start(&self) -> Vec<f64> {
        vec![0.0; self.dimension()]
    }

    /// F is not convex.
    fn constants(&self) -> Option<&Constants> {
        None
    }

    fn smoothness(&self) -> Option<f64> {
        Some(self.smoothness)
    }

    /// F(w) itself: F* is not known.
    fn excess(&self, weights: Tensor<2>) -> Tensor<1> {
        self.of_all(&weights).losses.mean_dim(1).squeeze_dim::<1>(1)
    }

    fn gradient(&self, weights: Tensor<2>) -> Tensor<2> {
        let n = self.model.data.samples() as f64;
        self.of_all(&weights).slopes.matmul(self.model.data.features.clone()).div_scalar(n)
    }

    fn sampled(&self, weights: Tensor<2>, batch: usize, draws: &mut Draws) -> Sampled {
        let of_products = |products: Tensor<2>, targets| Self::of_residuals(products.sub(targets));
        self.model.sampled(weights, batch, draws, 0.0, of_products)
    }

    /// The theorem takes what is met on the way.
    fn variance(&self, _weights: Tensor<2>) -> Option<Tensor<1>> {
        None
    }

    fn describe(&self) -> String {
        format!(
            "robust regression on {}: n = {}, d = {}; not convex, F itself is shown",
            self.config.data.describe(),
            self.model.data.samples(),
            self.dimension()
        )
    }
}
