//! Objectives F, with their gradients, on R points at once.

mod least_squares;
mod logistic_regression;
mod neural_network;
mod quadratic;
mod quadratic_form;

use burn::tensor::Tensor;
use kiln_settings::Violation;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

pub use least_squares::LinearRegressionConfig;
pub use logistic_regression::LogisticRegressionConfig;
pub use neural_network::NeuralNetworkConfig;
pub use quadratic::QuadraticConfig;

use crate::{Arithmetic, Constants, LabError};

/// An objective F over vectors of d weights. Points are rows of `[R, d]`.
pub trait Problem {
    /// d.
    fn dimension(&self) -> usize;

    /// n, the samples that F is a mean over; `None` where noise is added to the gradient instead.
    fn samples(&self) -> Option<usize>;

    /// Where every descent starts, `[d]`.
    fn start(&self) -> Vec<f64>;

    /// What the theorems need to know; `None` where no theorem holds.
    fn constants(&self) -> Option<&Constants>;

    /// F(w) - F* of each row, `[R, d]` -> `[R]`; F(w) itself where F* is not known.
    fn excess(&self, weights: Tensor<2>) -> Tensor<1>;

    /// The gradient of F at each row, `[R, d]` -> `[R, d]`.
    fn gradient(&self, weights: Tensor<2>) -> Tensor<2>;

    /// The gradient of a mini-batch of `batch` samples, drawn for each row by itself, and its loss, above F* where that is known.
    fn sampled(&self, weights: Tensor<2>, batch: usize, draws: &mut ChaCha8Rng) -> Sampled;

    /// sigma² at each row, E |g - grad F|² of a single sample, `[R, d]` -> `[R]`; `None` where no theorem asks for it.
    fn variance(&self, weights: Tensor<2>) -> Option<Tensor<1>>;

    /// The spectrum of the Hessian where it is the same everywhere.
    fn spectrum(&self) -> Option<&[f64]> {
        None
    }

    /// A sentence about it.
    fn describe(&self) -> String;
}

/// What mini-batches give.
pub struct Sampled {
    /// `[R, d]`.
    pub gradient: Tensor<2>,
    /// `[R]`.
    pub loss: Tensor<1>,
}

/// The problem of a curve: exactly one table under `[problem]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum ProblemConfig {
    /// A quadratic with a given spectrum and additive noise.
    Quadratic(QuadraticConfig),
    /// Least squares.
    LinearRegression(LinearRegressionConfig),
    /// Logistic regression with an L2 penalty.
    LogisticRegression(LogisticRegressionConfig),
    /// A small neural network, for contrast.
    NeuralNetwork(NeuralNetworkConfig),
}

impl ProblemConfig {
    /// The problem, with its constants computed.
    ///
    /// # Errors
    /// When data cannot be read or do not determine a minimum.
    pub fn build(&self, seed: u64, arithmetic: &Arithmetic) -> Result<Box<dyn Problem>, LabError> {
        Ok(match self {
            Self::Quadratic(config) => Box::new(config.build(seed, arithmetic)),
            Self::LinearRegression(config) => Box::new(config.build(seed, arithmetic)?),
            Self::LogisticRegression(config) => Box::new(config.build(seed, arithmetic)?),
            Self::NeuralNetwork(config) => Box::new(config.build(seed, arithmetic)?),
        })
    }

    /// Every broken rule, keys relative to `[problem]`.
    pub fn validate(&self) -> Vec<Violation> {
        let (name, violations) = match self {
            Self::Quadratic(config) => ("quadratic", config.validate()),
            Self::LinearRegression(config) => ("linear-regression", config.validate()),
            Self::LogisticRegression(config) => ("logistic-regression", config.validate()),
            Self::NeuralNetwork(config) => ("neural-network", config.validate()),
        };
        violations.into_iter().map(|violation| violation.under(name)).collect()
    }

    /// The number of samples where the configuration says it.
    pub(crate) fn known_samples(&self) -> Option<usize> {
        match self {
            Self::Quadratic(_) => None,
            Self::LinearRegression(config) => config.data.known_samples(),
            Self::LogisticRegression(config) => config.data.known_samples(),
            Self::NeuralNetwork(config) => config.data.known_samples(),
        }
    }
}
