//! Logistic regression with an L2 penalty, strongly convex by the penalty.

use std::f64::consts::LN_2;

use burn::tensor::Tensor;
use burn::tensor::activation::{sigmoid, softplus_with_threshold};
use kiln_settings::Violation;
use nalgebra::{DMatrix, DVector};
use serde::{Deserialize, Serialize};

use super::linear_model::{LinearModel, PerSample, largest_square, noise_at_minimum, rounding};
use super::{Draws, Problem, Sampled};
use crate::constants::{extreme_eigenvalues, solve};
use crate::data::{DataConfig, Samples, Targets};
use crate::{Arithmetic, Constants, Convexity, LabError, Variance};

/// `[problem.logistic-regression]`: F(w) = mean of ln(1 + exp(-y_i x_iᵀ w)) + l2 |w|² / 2 with y_i = -1 or 1, started
/// from w = 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LogisticRegressionConfig {
    /// The samples.
    pub data: DataConfig,
    /// The weight of the penalty, > 0, which is c. Default `0.1`.
    #[serde(default = "tenth")]
    pub l2: f64,
}

fn tenth() -> f64 {
    0.1
}

/// F* may be uncertain by this part of F(0) - F*.
const MOST_UNCERTAIN: f64 = 1e-6;

/// Newton's method doubles the digits with each step; damped at first, it needs some more.
const MOST_NEWTON_STEPS: usize = 100;

impl LogisticRegressionConfig {
    pub(super) fn validate(&self) -> Vec<Violation> {
        let l2 = (!(1e-12..=1e12).contains(&self.l2)).then(|| {
            Violation::new("l2", format!("must be above 0, from 1e-12 to 1e12, is {}", self.l2))
                .with_help("without the penalty logistic regression is not strongly convex: l2 is its c")
        });
        self.data.validate().into_iter().chain(l2).collect()
    }

    /// c = l2, since the loss alone may be flat; L = l2 + lambda_max(Xᵀ X) / (4 n), since the logistic function's
    /// slope is at
    /// most 1/4; w* by Newton's method.
    pub(super) fn build(&self, seed: u64, arithmetic: &Arithmetic) -> Result<LogisticRegression, LabError> {
        let samples = self.data.samples(Targets::Classes, seed)?;
        let (n, d) = samples.features.shape();
        let (_, largest) = extreme_eigenvalues(&(samples.features.transpose() * &samples.features / n as f64));
        let minimizer = self.minimize(&samples)?;
        let (minimum, gradient) = self.value(&samples, &minimizer);
        let constants = Constants {
            strong_convexity: self.l2,
            smoothness: self.l2 + largest / 4.0,
            convexity: Convexity::Strong,
            start_distance: minimizer.norm(),
            noise_at_minimum: noise_at_minimum(&samples, &minimizer, &Self::slopes(&samples, &minimizer), self.l2),
            samples: Some(n),
            sample_convexity: self.l2,
            sample_smoothness: self.l2 + largest_square(&samples) / 4.0,
            minimizer: minimizer.as_slice().to_vec(),
            minimum,
            minimizer_error: (gradient.norm()
                + rounding(&samples, &minimizer, &Self::slopes(&samples, &minimizer), 0.25, self.l2))
                / self.l2,
            variance: Variance::Sampled,
        };
        let uncertain = self.l2 / 2.0 * constants.minimizer_error.powi(2);
        // F(0) - F*, or where that is rounding what it is at least.
        let start = (LN_2 - minimum).max(self.l2 / 2.0 * minimizer.norm_squared());
        if uncertain > MOST_UNCERTAIN * start {
            let (distance, condition) = (constants.minimizer_error, constants.condition());
            return Err(LabError::Uncertain { distance, minimum: uncertain, condition });
        }
        // y_i x_i is all that the loss needs.
        let mut signed = samples.features.clone();
        for (mut row, target) in signed.row_iter_mut().zip(samples.targets.iter()) {
            row *= *target;
        }
        let signed = Samples { features: signed, targets: DVector::zeros(n) };
        let spectrum = self.hessian(&samples, &minimizer).symmetric_eigenvalues().as_slice().to_vec();
        let minimizer_row = arithmetic.tensor(minimizer.as_slice().to_vec(), [1, d]);
        let model = LinearModel::new(&signed, self.l2, arithmetic);
        let margins_at_minimum = model.products(&minimizer_row);
        Ok(LogisticRegression {
            config: self.clone(),
            model,
            minimizer: minimizer_row,
            margins_at_minimum,
            spectrum,
            constants,
        })
    }

    /// F and its gradient at one point.
    fn value(&self, samples: &Samples, weights: &DVector<f64>) -> (f64, DVector<f64>) {
        let n = samples.targets.len() as f64;
        let margins = (&samples.features * weights).component_mul(&samples.targets);
        let losses = margins.map(|margin| (-margin).max(0.0) + (-margin.abs()).exp().ln_1p());
        let gradient = samples.features.transpose() * Self::slopes(samples, weights) / n + weights * self.l2;
        (losses.sum() / n + self.l2 * weights.norm_squared() / 2.0, gradient)
    }

    /// The derivative of each sample's loss by x_iᵀ w.
    fn slopes(samples: &Samples, weights: &DVector<f64>) -> DVector<f64> {
        let margins = (&samples.features * weights).component_mul(&samples.targets);
        margins.map(|margin| -1.0 / (1.0 + margin.exp())).component_mul(&samples.targets)
    }

    /// The Hessian of F at one point.
    fn hessian(&self, samples: &Samples, weights: &DVector<f64>) -> DMatrix<f64> {
        let (n, d) = samples.features.shape();
        let margins = (&samples.features * weights).component_mul(&samples.targets);
        let mut scaled = samples.features.clone();
        for (mut row, margin) in scaled.row_iter_mut().zip(margins.iter()) {
            let p = 1.0 / (1.0 + (-margin).exp());
            row *= p * (1.0 - p) / n as f64;
        }
        samples.features.transpose() * scaled + DMatrix::identity(d, d) * self.l2
    }

    /// Newton's method with backtracking, until no step makes the gradient smaller: then only its last digits tremble.
    fn minimize(&self, samples: &Samples) -> Result<DVector<f64>, LabError> {
        let (n, d) = samples.features.shape();
        let mut weights = DVector::zeros(d);
        let (mut value, mut gradient) = self.value(samples, &weights);
        for _ in 0..MOST_NEWTON_STEPS {
            let Some(step) = solve(&self.hessian(samples, &weights), &gradient) else { break };
            let shorter = (0..40).map(|halvings| &weights - &step * 0.5_f64.powi(halvings));
            let mut tried = shorter.map(|next| (self.value(samples, &next), next));
            let is_better =
                |next: &(f64, DVector<f64>)| next.1.norm() < gradient.norm() || next.0 < value - 1e-12 * value.abs();
            let Some((next, at)) = tried.find(|(next, _)| is_better(next)) else { break };
            ((value, gradient), weights) = (next, at);
        }
        // What rounding leaves of a sum of terms of this size.
        let terms = samples.features.row_iter().map(|row| row.norm()).sum::<f64>() / n as f64;
        let (norm, scale) = (gradient.norm(), terms + self.l2 * weights.norm());
        let is_rounding = norm <= 1e3 * f64::EPSILON * scale;
        if is_rounding { Ok(weights) } else { Err(LabError::NoMinimum { steps: MOST_NEWTON_STEPS, norm }) }
    }
}

/// Logistic regression on a device; its features are y_i x_i.
pub(super) struct LogisticRegression {
    config: LogisticRegressionConfig,
    model: LinearModel,
    minimizer: Tensor<2>,
    /// y_i x_iᵀ w*, `[1, n]`.
    margins_at_minimum: Tensor<2>,
    /// Of the Hessian at w*.
    spectrum: Vec<f64>,
    constants: Constants,
}

impl LogisticRegression {
    /// ln(1 + exp(-m)).
    fn losses(margins: Tensor<2>) -> Tensor<2> {
        // From 40 on, exp(-m) is below the last digit of 1.
        softplus_with_threshold(margins.neg(), 1.0, 40.0)
    }

    /// The derivative of ln(1 + exp(-m)): -1 / (1 + exp(m)).
    fn slopes(margins: Tensor<2>) -> Tensor<2> {
        sigmoid(margins.neg()).neg()
    }
}

impl Problem for LogisticRegression {
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

    /// The difference to F* is taken sample by sample and its first-order part, which is 0 at w*, left out of it, so
    /// that
    /// little is lost near the minimum: with m_i at w and m*_i at w*, and e = w - w*,
    /// mean of \[l(m_i) - l(m*_i) - l'(m*_i) (m_i - m*_i)\] + l2 |e|² / 2.
    fn excess(&self, weights: Tensor<2>) -> Tensor<1> {
        let margins = self.model.products(&weights);
        let at_minimum = self.margins_at_minimum.clone();
        let losses = Self::losses(margins.clone()).sub(Self::losses(at_minimum.clone()));
        let linear = Self::slopes(at_minimum.clone()).mul(margins.sub(at_minimum));
        let error = weights.sub(self.minimizer.clone());
        losses.sub(linear).mean_dim(1).squeeze_dim::<1>(1).add(self.model.penalty(&error)).clamp_min(0.0)
    }

    fn gradient(&self, weights: Tensor<2>) -> Tensor<2> {
        let n = self.model.data.samples() as f64;
        let slopes = Self::slopes(self.model.products(&weights));
        slopes.matmul(self.model.data.features.clone()).div_scalar(n).add(weights.mul_scalar(self.model.l2))
    }

    fn sampled(&self, weights: Tensor<2>, batch: usize, draws: &mut Draws) -> Sampled {
        self.model.sampled(weights, batch, draws, self.constants.minimum, |margins, _| PerSample {
            losses: Self::losses(margins.clone()),
            slopes: Self::slopes(margins),
        })
    }

    fn variance(&self, weights: Tensor<2>) -> Option<Tensor<1>> {
        let slopes = Self::slopes(self.model.products(&weights));
        let gradient = self.gradient(weights.clone());
        Some(self.model.variance(weights, slopes, gradient))
    }

    fn spectrum(&self) -> Option<&[f64]> {
        Some(&self.spectrum)
    }

    fn describe(&self) -> String {
        format!(
            "logistic regression on {}: n = {}, d = {}, l2 = {}; c from the penalty, L from the data",
            self.config.data.describe(),
            self.model.data.samples(),
            self.dimension(),
            self.config.l2
        )
    }
}
