//! `[problem.*]`: which objective.

use kiln_settings::Violation;
use serde::{Deserialize, Serialize};

use super::{
    LinearRegressionConfig, LogisticRegressionConfig, NeuralNetworkConfig, Problem, QuadraticConfig,
    RobustRegressionConfig,
};
use crate::data::DataConfig;
use crate::{Arithmetic, Footprint, LabError};

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
    /// Regression with a loss that is not convex, and a known L.
    RobustRegression(RobustRegressionConfig),
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
            Self::RobustRegression(config) => Box::new(config.build(seed, arithmetic)?),
            Self::NeuralNetwork(config) => Box::new(config.build(seed, arithmetic)?),
        })
    }

    /// Every broken rule, keys relative to `[problem]`.
    pub fn validate(&self) -> Vec<Violation> {
        let (name, violations) = match self {
            Self::Quadratic(config) => ("quadratic", config.validate()),
            Self::LinearRegression(config) => ("linear-regression", config.validate()),
            Self::LogisticRegression(config) => ("logistic-regression", config.validate()),
            Self::RobustRegression(config) => ("robust-regression", config.validate()),
            Self::NeuralNetwork(config) => ("neural-network", config.validate()),
        };
        violations.into_iter().map(|violation| violation.under(name)).collect()
    }

    /// Whether F is, so that F* is known.
    pub(crate) fn is_convex(&self) -> bool {
        !matches!(self, Self::RobustRegression(_) | Self::NeuralNetwork(_))
    }

    /// The samples that the objective is a mean over; `None` if it adds noise to the gradient instead.
    pub(crate) fn data(&self) -> Option<&DataConfig> {
        match self {
            Self::Quadratic(_) => None,
            Self::LinearRegression(config) => Some(&config.data),
            Self::LogisticRegression(config) => Some(&config.data),
            Self::RobustRegression(config) => Some(&config.data),
            Self::NeuralNetwork(config) => Some(&config.data),
        }
    }

    /// What a sample takes, where the number of features is known before data are read.
    pub(crate) fn known_footprint(&self) -> Option<Footprint> {
        let features = |data: &DataConfig| match data {
            DataConfig::Generated(config) => Some(config.features),
            DataConfig::Csv(_) => None,
        };
        match self {
            Self::Quadratic(config) => Some(Footprint { drawn: config.spectrum.len(), evaluated: 1 }),
            Self::LinearRegression(config) => Some(Footprint { drawn: features(&config.data)?, evaluated: 1 }),
            Self::LogisticRegression(config) => Some(Footprint { drawn: features(&config.data)?, evaluated: 1 }),
            Self::RobustRegression(config) => Some(Footprint { drawn: features(&config.data)?, evaluated: 1 }),
            Self::NeuralNetwork(config) => Some(config.footprint(features(&config.data)?)),
        }
    }
}
