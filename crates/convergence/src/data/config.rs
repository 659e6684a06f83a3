//! `[problem.*.data.*]`: where the samples come from.

use kiln_settings::Violation;
use serde::{Deserialize, Serialize};

use super::{CsvConfig, GeneratedConfig, Samples, Targets};
use crate::LabError;

/// Where samples come from: exactly one of the tables `generated` and `csv`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum DataConfig {
    /// Drawn from a linear model.
    Generated(GeneratedConfig),
    /// Read from a file.
    Csv(CsvConfig),
}

impl DataConfig {
    /// The samples.
    ///
    /// # Errors
    /// When a file cannot be read, with the line that is wrong.
    pub fn samples(&self, targets: Targets, seed: u64) -> Result<Samples, LabError> {
        match self {
            Self::Generated(config) => Ok(config.samples(targets, seed)),
            Self::Csv(config) => config.samples(targets),
        }
    }

    pub(crate) fn validate(&self) -> Vec<Violation> {
        let (name, violations) = match self {
            Self::Generated(config) => ("generated", config.validate()),
            Self::Csv(config) => ("csv", config.validate()),
        };
        violations.into_iter().map(|violation| violation.under(name).under("data")).collect()
    }

    pub(crate) fn known_samples(&self) -> Option<usize> {
        match self {
            Self::Generated(config) => Some(config.samples),
            Self::Csv(_) => None,
        }
    }

    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Generated(_) => "generated samples".to_owned(),
            Self::Csv(config) => format!("samples of {}", config.path),
        }
    }
}
