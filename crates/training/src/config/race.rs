//! The configuration file of a race: one training configuration, and what each entrant does otherwise.
//!
//! ```toml
//! # The sections of a run, without [schedule], and then
//! [[entrants]]
//! label = "constant"
//! [entrants.schedule.constant]
//! rate = 2e-3
//!
//! [[entrants]]
//! label = "cosine, SGD"
//! [entrants.schedule.cosine]
//! rate = 1.0
//! [entrants.optimizer.sgd]
//! ```

use std::collections::BTreeMap;
use std::path::Path;

use kiln_models::{ModelConfig, TokenizerConfig};
use serde::{Deserialize, Serialize};

use kiln_settings::{
    ConfigErrors, ConfigFileError, Override, Replaced, Source, Violation, read_source, read_with, replaced,
};

use super::changes::{Change, changes};
use super::reading::{self, HINTS};
use super::run::RunConfig;
use super::sections::{Config, default_seed};
use crate::gradient_measurements::EstimatesConfig;
use kiln_data::corpus::DataConfig;
use kiln_optimization::averaging::AveragingConfig;
use kiln_optimization::optimizers::OptimizerConfig;
use kiln_optimization::schedules::ScheduleConfig;

/// A race of learning-rate schedules: the same seed, data, model and number of tokens for every entrant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RaceConfig {
    /// As in a run; the same for every entrant.
    #[serde(default = "default_seed")]
    pub seed: u64,
    /// As in a run.
    pub data: DataConfig,
    /// As in a run.
    pub tokenizer: TokenizerConfig,
    /// As in a run.
    pub model: ModelConfig,
    /// The optimizer of entrants without one of their own.
    pub optimizer: OptimizerConfig,
    /// As in a run.
    pub run: RunConfig,
    /// As in a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub averaging: Option<AveragingConfig>,
    /// As in a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimates: Option<EstimatesConfig>,
    /// Who takes part, at least one.
    pub entrants: Vec<Entrant>,
}

/// `[[entrants]]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Entrant {
    /// Its name, different from the others' in more than case and punctuation.
    pub label: String,
    /// Its learning rate over time.
    pub schedule: ScheduleConfig,
    /// Its optimizer. Default: the race's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optimizer: Option<OptimizerConfig>,
}

impl Entrant {
    /// The name of its run's folder: letters and digits of the label in lower case, with `-` for everything between.
    pub fn folder_name(&self) -> String {
        let words = self.label.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        words.map(str::to_lowercase).collect::<Vec<_>>().join("-")
    }
}

impl RaceConfig {
    /// Reads a race from its text, with keys set on the command line.
    ///
    /// # Errors
    /// Every problem that the text and the overrides have.
    pub fn read(source: &Source, overrides: &[Override]) -> Result<Self, ConfigErrors> {
        read_with(source, overrides, &HINTS, Self::validate)
    }

    /// The tables of a race that keys set on the command line replace by another one of the same choice.
    pub fn replaced(source: &Source, overrides: &[Override]) -> Vec<Replaced> {
        replaced::<Self>(source, overrides, &HINTS)
    }

    /// Reads the file of a race, with keys set on the command line.
    ///
    /// # Errors
    /// When the file cannot be read, is no UTF-8, or is wrong.
    pub fn open(path: &Path, overrides: &[Override]) -> Result<Self, ConfigFileError> {
        Ok(Self::read(&read_source(path)?, overrides)?)
    }

    /// Looks for relative paths beside the race's file, as [`Config::look_beside`] does.
    #[must_use]
    pub fn look_beside(mut self, file: &Path, overrides: &[Override]) -> Self {
        reading::look_beside(&mut self.data, &mut self.tokenizer, file, overrides);
        self
    }

    /// The configuration of an entrant's run. Samples are not drawn in a race.
    pub fn config_of(&self, entrant: &Entrant) -> Config {
        Config {
            seed: self.seed,
            data: self.data.clone(),
            tokenizer: self.tokenizer.clone(),
            model: self.model.clone(),
            optimizer: entrant.optimizer.as_ref().unwrap_or(&self.optimizer).clone(),
            schedule: entrant.schedule.clone(),
            run: RunConfig { sample_every: None, ..self.run.clone() },
            averaging: self.averaging.clone(),
            estimates: self.estimates.clone(),
        }
    }

    /// Every entrant with the configuration of its run.
    pub fn runs(&self) -> impl Iterator<Item = (&Entrant, Config)> {
        self.entrants.iter().map(|entrant| (entrant, self.config_of(entrant)))
    }

    /// How the runs of another race differ from those of this one, and whether they all take part; more may take part
    /// there.
    pub fn changes(&self, now: &Self) -> Vec<Change> {
        let mut found = Vec::new();
        for (entrant, before) in self.runs() {
            let Some(other) = now.entrants.iter().find(|other| other.label == entrant.label) else {
                let from = Some(entrant.label.clone().into());
                found.push(Change { key: "entrants".to_owned(), from, to: None });
                continue;
            };
            for (mut change, _) in changes(&before, &now.config_of(other)) {
                let section = change.key.split('.').next().unwrap_or_default();
                if section == "schedule" || (section == "optimizer" && entrant.optimizer != other.optimizer) {
                    change.key = format!("entrants[{:?}].{}", entrant.label, change.key);
                }
                if !found.contains(&change) {
                    found.push(change);
                }
            }
        }
        found
    }

    /// Every broken rule, keys from the root of the file: those of each entrant's configuration, once where they are
    /// shared.
    pub fn validate(&self) -> Vec<Violation> {
        let mut violations = Vec::new();
        if self.entrants.is_empty() {
            violations.push(Violation::new("entrants", "is empty").with_help("write `[[entrants]]` once or more"));
        }
        violations.extend(self.optimizer.validate().into_iter().map(|violation| violation.under("optimizer")));
        for (index, entrant) in self.entrants.iter().enumerate() {
            for mut violation in self.config_of(entrant).validate() {
                let own = |section: &str| violation.key.split('.').next() == Some(section);
                if own("schedule") || (own("optimizer") && entrant.optimizer.is_some()) {
                    violation = violation.under(&format!("entrants[{index}]"));
                }
                if !violations.contains(&violation) {
                    violations.push(violation);
                }
            }
        }
        violations.extend(self.labels());
        violations
    }

    /// Labels name the entrants in tables and their folders on disk.
    fn labels(&self) -> Vec<Violation> {
        let mut first: BTreeMap<String, &str> = BTreeMap::new();
        let mut violations = Vec::new();
        for (index, entrant) in self.entrants.iter().enumerate() {
            let (key, label) = (format!("entrants[{index}].label"), entrant.label.as_str());
            let folder = entrant.folder_name();
            if folder.is_empty() {
                violations.push(Violation::new(key, format!("must hold a letter or a digit, is {label:?}")));
            } else if let Some(other) = first.insert(folder, label) {
                violations.push(Violation::new(
                    key,
                    format!(
                        "must differ in a letter or a digit from those before, but there is {other:?} and {label:?}"
                    ),
                ));
            }
        }
        violations
    }

    /// The race as TOML with every default spelled out; reading it gives an equal race.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).unwrap_or_else(|error| format!("# this race has no form in TOML: {error}\n"))
    }
}
