//! The configuration file of a run: TOML in, one checked [`Config`] out, or all mistakes at once.
//!
//! ```toml
//! seed = 1337
//! [data.file]
//! paths = ["text.txt"]
//! [tokenizer.character]
//! [model.lstm]
//! hidden = 128
//! [optimizer.adamw]
//! [schedule.constant]
//! rate = 2e-3
//! [run]
//! steps = 1000
//! batch = 16
//! context = 64
//! ```
//!
//! Each section's type lives with the code that it configures, but for `[run]`, and checks its own values; rules
//! between sections are in
//! [`Config::validate`]. How a file is read: text -> tree with places (`document`) -> overrides -> typed value, every
//! mistake noted (`reader`) -> broken rules -> problems with places (`problem`).

mod changes;
mod race;
mod rules;
mod run;
#[cfg(test)]
mod tests;

pub use changes::{Change, Meaning, RefusedChanges, changes};
pub use race::{Entrant, RaceConfig};
pub use run::{OnSaveError, RunConfig};

use std::path::Path;

use kiln_models::{ModelConfig, TokenizerConfig};
use kiln_settings::{ConfigErrors, ConfigFileError, Override, Source, Violation, read, read_source};
use serde::{Deserialize, Serialize};

use crate::gradient_measurements::EstimatesConfig;
use kiln_data::corpus::DataConfig;
use kiln_optimization::averaging::AveragingConfig;
use kiln_optimization::optimizers::OptimizerConfig;
use kiln_optimization::schedules::ScheduleConfig;

/// The configuration of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    /// Seed of everything random: weights, data order, dropout, samples; at most 2^63 - 1. Default `1337`.
    #[serde(default = "default_seed")]
    pub seed: u64,
    /// Which text, and how it is split.
    pub data: DataConfig,
    /// How text becomes tokens.
    pub tokenizer: TokenizerConfig,
    /// Which model.
    pub model: ModelConfig,
    /// How gradients become updates.
    pub optimizer: OptimizerConfig,
    /// The learning rate over time.
    pub schedule: ScheduleConfig,
    /// Which average of the weights is evaluated, sampled and saved. Default: none, the weights themselves are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub averaging: Option<AveragingConfig>,
    /// How long, in which portions, and what is looked at and kept on the way.
    pub run: RunConfig,
    /// What is measured while training. Default: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimates: Option<EstimatesConfig>,
}

fn default_seed() -> u64 {
    1337
}

impl Config {
    /// Reads a configuration from its text, with keys set on the command line.
    ///
    /// # Errors
    /// Every problem that the text and the overrides have.
    pub fn read(source: &Source, overrides: &[Override]) -> Result<Self, ConfigErrors> {
        match race::is_no_run(source) {
            Some(problem) => Err(ConfigErrors::new(source, overrides, vec![problem])),
            None => read(source, overrides, Self::validate),
        }
    }

    /// Reads a configuration file, with keys set on the command line.
    ///
    /// # Errors
    /// When the file cannot be read, isn't UTF-8, or is wrong.
    pub fn open(path: &Path, overrides: &[Override]) -> Result<Self, ConfigFileError> {
        let source = read_source(path)?;
        Ok(Self::read(&source, overrides)?)
    }

    /// Every broken rule, keys from the root of the file.
    pub fn validate(&self) -> Vec<Violation> {
        let sections = [
            ("data", self.data.validate()),
            ("tokenizer", self.tokenizer.validate()),
            ("model", self.model.validate()),
            ("optimizer", self.optimizer.validate()),
            ("schedule", self.schedule.validate(self.run.steps)),
            (
                "averaging",
                self.averaging.as_ref().map_or_else(Vec::new, |averaging| averaging.validate(self.run.steps)),
            ),
            ("run", self.run.validate()),
            ("estimates", self.estimates.as_ref().map(EstimatesConfig::validate).unwrap_or_default()),
        ];
        let of_sections = sections
            .into_iter()
            .flat_map(|(section, violations)| violations.into_iter().map(move |violation| violation.under(section)));
        of_sections.chain(rules::between_sections(self)).collect()
    }

    /// The configuration as TOML with every default spelled out; reading it gives an equal configuration. Keys that are
    /// left out mean "none".
    pub fn to_toml(&self) -> String {
        // Every part of a valid configuration has a form in TOML, which the tests show for each kind of section; only a
        // seed of 2^63 or more has none, and that is no valid one.
        toml::to_string(self).unwrap_or_else(|error| format!("# this configuration has no form in TOML: {error}\n"))
    }
}
