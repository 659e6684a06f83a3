//! A quadratic with a given spectrum, so that c and L are exact, and additive noise, so that sigma² is.

use burn::tensor::Tensor;
use kiln_settings::Violation;
use nalgebra::{DMatrix, DVector};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use super::quadratic_form::QuadraticForm;
use super::{Draws, Problem, Sampled};
use crate::exact::{AdditiveNoise, Direction, Model};
use crate::range::carried;
use crate::{Arithmetic, Constants, Convexity, Variance};

/// `[problem.quadratic]`: F(w) = (w - w*)ᵀ A (w - w*) / 2 + F*, where A has the given spectrum in directions drawn at
/// random, w* ~ N(0, s² I) with s = 1 unless w_0 is so near to w* that digits would be lost, and F* = 1. A stochastic
/// gradient is grad F + xi with xi ~ N(0, sigma² / (d b) I).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct QuadraticConfig {
    /// The eigenvalues of the Hessian, each from 1e-100 to 1e100; the smallest is c, the largest L.
    pub spectrum: Vec<f64>,
    /// sigma², the variance of the gradient at a single sample, E |g - grad F|², >= 0. Default `1.0`.
    #[serde(default = "one")]
    pub variance: f64,
    /// F(w_0) - F*, of which each direction has the same part, > 0. Default `1.0`.
    #[serde(default = "one")]
    pub start_error: f64,
}

fn one() -> f64 {
    1.0
}

/// w* is not much more than this many times as far from 0 as from w_0: w - w* loses three digits of sixteen.
const FARTHEST: f64 = 1e3;

/// F* of every quadratic.
const MINIMUM: f64 = 1.0;

impl QuadraticConfig {
    pub(super) fn validate(&self) -> Vec<Violation> {
        let mut violations = Vec::new();
        if self.spectrum.is_empty() || self.spectrum.len() > 1000 {
            let message = format!("must have 1 to 1000 eigenvalues, has {}", self.spectrum.len());
            violations.push(Violation::new("spectrum", message));
        }
        for (index, eigenvalue) in self.spectrum.iter().enumerate() {
            if *eigenvalue <= 0.0 || eigenvalue.is_nan() {
                let message = format!("must be above 0, is {eigenvalue}");
                violations.push(
                    Violation::new(format!("spectrum[{index}]"), message)
                        .with_help("the theorems need strong convexity: the smallest eigenvalue is c, and c > 0"),
                );
            } else {
                violations.extend(carried(format!("spectrum[{index}]"), *eigenvalue));
            }
        }
        let (least, most) = self.spectrum.iter().fold((f64::INFINITY, 0.0_f64), |(least, most), eigenvalue| {
            (least.min(*eigenvalue), most.max(*eigenvalue))
        });
        if least > 0.0 && most > 1e12 * least {
            let message = format!("must not span more than 12 powers of ten, goes from {least:e} to {most:e}");
            violations.push(Violation::new("spectrum", message).with_help("the arithmetic has 16 digits"));
        }
        if !(0.0..=1e12).contains(&self.variance) {
            violations.push(Violation::new("variance", format!("must be 0 or more, up to 1e12, is {}", self.variance)));
        }
        if !(1e-12..=1e12).contains(&self.start_error) {
            let message = format!("must be from 1e-12 to 1e12, is {}", self.start_error);
            violations.push(Violation::new("start-error", message));
        }
        violations
    }

    pub(super) fn build(&self, seed: u64, arithmetic: &Arithmetic) -> Quadratic {
        let d = self.spectrum.len();
        let mut draws = ChaCha8Rng::seed_from_u64(seed);
        let directions: DMatrix<f64> = DMatrix::from_fn(d, d, |_, _| StandardNormal.sample(&mut draws)).qr().q();
        let minimizer: DVector<f64> = DVector::from_fn(d, |_, _| StandardNormal.sample(&mut draws));
        let eigenvalues = DVector::from_column_slice(&self.spectrum);
        // lambda e² / 2 is the same for every direction.
        let along = eigenvalues.map(|eigenvalue| (2.0 * self.start_error / d as f64 / eigenvalue).sqrt());
        let minimizer = minimizer * (FARTHEST * along.min()).min(1.0);
        let start = &minimizer + &directions * &along;
        let c = self.spectrum.iter().copied().fold(f64::INFINITY, f64::min);
        let l = self.spectrum.iter().copied().fold(0.0, f64::max);
        let constants = Constants {
            strong_convexity: c,
            smoothness: l,
            convexity: Convexity::Quadratic,
            start_distance: along.norm(),
            // The noise is added, so that every sample curves as F does.
            noise_at_minimum: self.variance,
            samples: None,
            sample_convexity: c,
            sample_smoothness: l,
            minimizer: minimizer.as_slice().to_vec(),
            minimum: MINIMUM,
            minimizer_error: 0.0,
            variance: Variance::Exact(self.variance),
        };
        Quadratic {
            config: self.clone(),
            form: QuadraticForm::new(&directions, &eigenvalues, &minimizer, arithmetic),
            start: start.as_slice().to_vec(),
            constants,
            arithmetic: arithmetic.clone(),
            noise: AdditiveNoise {
                directions: self
                    .spectrum
                    .iter()
                    .map(|eigenvalue| Direction { eigenvalue: *eigenvalue, start: self.start_error / d as f64 })
                    .collect(),
                variance: self.variance,
            },
        }
    }
}

/// A quadratic on a device.
pub(crate) struct Quadratic {
    config: QuadraticConfig,
    form: QuadraticForm,
    start: Vec<f64>,
    constants: Constants,
    arithmetic: Arithmetic,
    noise: AdditiveNoise,
}

impl Quadratic {
    /// xi of each row for a mini-batch, `[R, d]`.
    fn draw_noise(&self, rows: usize, batch: usize, draws: &mut Draws) -> Tensor<2> {
        let d = self.dimension();
        // The mean of b independent normal numbers is a normal number of variance 1 / b.
        let deviation = (self.config.variance / d as f64 / batch as f64).sqrt();
        let mut normal = || Distribution::<f64>::sample(&StandardNormal, draws.random());
        let values = (0..rows * d).map(|_| deviation * normal()).collect();
        self.arithmetic.tensor(values, [rows, d])
    }
}

impl Problem for Quadratic {
    fn dimension(&self) -> usize {
        self.config.spectrum.len()
    }

    fn samples(&self) -> Option<usize> {
        None
    }

    fn start(&self) -> Vec<f64> {
        self.start.clone()
    }

    fn constants(&self) -> Option<&Constants> {
        Some(&self.constants)
    }

    fn excess(&self, weights: Tensor<2>) -> Tensor<1> {
        self.form.value(weights)
    }

    fn gradient(&self, weights: Tensor<2>) -> Tensor<2> {
        self.form.gradient(weights)
    }

    /// The loss of a mini-batch whose gradient is grad F + xi: F(w) - F* + xiᵀ (w - w*).
    fn sampled(&self, weights: Tensor<2>, batch: usize, draws: &mut Draws) -> Sampled {
        let gradient = self.form.gradient(weights.clone());
        let error = self.form.error(weights);
        let noise = self.draw_noise(error.dims()[0], batch, draws);
        let loss = error.mul(gradient.clone().mul_scalar(0.5).add(noise.clone())).sum_dim(1).squeeze_dim::<1>(1);
        Sampled { gradient: gradient.add(noise), loss }
    }

    fn variance(&self, weights: Tensor<2>) -> Option<Tensor<1>> {
        let rows = weights.dims()[0];
        Some(self.arithmetic.tensor(vec![self.config.variance; rows], [rows]))
    }

    fn spectrum(&self) -> Option<&[f64]> {
        Some(&self.config.spectrum)
    }

    fn model(&self) -> Option<Model<'_>> {
        Some(Model::Additive(&self.noise))
    }

    fn describe(&self) -> String {
        let dimensions = match self.dimension() {
            1 => "one dimension".to_owned(),
            d => format!("{d} dimensions"),
        };
        let noise = match self.config.variance {
            0.0 => "without noise",
            _ => "noise is added to the gradient, so sigma² is exact",
        };
        format!("quadratic in {dimensions} with a given spectrum; {noise}")
    }
}
