//! The configuration of a study: TOML in, one checked [`Study`] out, or all mistakes at once.

mod experiment;

use std::path::Path;

use kiln_data::corpus::DataConfig;
use kiln_models::{ByteTokenizerConfig, ModelConfig, TokenizerConfig};
use kiln_optimization::optimizers::OptimizerConfig;
use kiln_optimization::schedules::ScheduleConfig;
use kiln_settings::rules::whole_at_least;
use kiln_settings::{ConfigErrors, ConfigFileError, Override, Source, Violation, read, read_source, read_with};
use kiln_training::config::{Config, HINTS, RunConfig};
use serde::{Deserialize, Serialize};

pub use experiment::{
    AttentionConfig, BehaviourConfig, ContextConfig, Equal, Experiment, ExplosionConfig, FamiliesConfig,
    GradientsConfig, RecallConfig, ScalingConfig,
};

/// What a file is.
#[derive(Debug, Clone, PartialEq)]
pub enum StudyFile {
    /// One study.
    Study(Box<Study>),
    /// Several.
    Lecture(Lecture),
}

/// Several studies, made by one command into one report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Lecture {
    /// The title of the report.
    pub title: String,
    /// The files of the studies, relative to the folder of this file.
    pub studies: Vec<String>,
}

/// Models, how they are trained, and what is measured on them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Study {
    /// The title of its part of the report.
    pub title: String,
    /// What is to be seen in it. Default: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation: Option<String>,
    /// Seed of everything random; that of repeat r is r more. At most 2^62. Default `1337`.
    #[serde(default = "default_seed")]
    pub seed: u64,
    /// R, how often each model is trained, with first weights and data order of its own, >= 1. Default `3`.
    #[serde(default = "three")]
    pub seeds: usize,
    /// The text; must be left out where the study makes its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<DataConfig>,
    /// How the text becomes tokens; must be left out where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<TokenizerConfig>,
    /// The models that are compared.
    pub models: Vec<NamedModel>,
    /// How gradients become updates.
    pub optimizer: OptimizerConfig,
    /// The learning rate over time.
    pub schedule: ScheduleConfig,
    /// How long, and in which portions.
    pub run: RunConfig,
    /// What is measured.
    pub study: Experiment,
}

/// A model of a study.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NamedModel {
    /// What the report calls it.
    pub name: String,
    /// What it is.
    pub model: ModelConfig,
}

fn default_seed() -> u64 {
    1337
}

fn three() -> usize {
    3
}

impl StudyFile {
    /// Reads a file, with keys set on the command line.
    ///
    /// # Errors
    /// When it cannot be read or is wrong.
    pub fn open(path: &Path, overrides: &[Override]) -> Result<Self, ConfigFileError> {
        let source = read_source(path)?;
        // A file that is not TOML is reported as a study's mistake.
        let is_lecture = source.text.parse::<toml::Table>().is_ok_and(|table| table.contains_key("studies"));
        Ok(if is_lecture {
            Self::Lecture(read(&source, overrides, Lecture::validate)?)
        } else {
            let mut study = Study::read(&source, overrides)?;
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            let is_typed = overrides.iter().any(|given| given.key.starts_with("data"));
            if let (Some(data), Some(folder), false) = (&mut study.data, folder, is_typed) {
                data.look_in(folder);
            }
            Self::Study(Box::new(study))
        })
    }
}

impl Lecture {
    fn validate(&self) -> Vec<Violation> {
        let empty = self
            .studies
            .is_empty()
            .then(|| Violation::new("studies", "is empty").with_help("name files, for example `[\"gradients.toml\"]`"));
        empty.into_iter().collect()
    }
}

impl Study {
    /// Reads a study from its text, with keys set on the command line.
    ///
    /// # Errors
    /// Every problem that the text and the overrides have.
    pub fn read(source: &Source, overrides: &[Override]) -> Result<Self, ConfigErrors> {
        read_with(source, overrides, &HINTS, Self::validate)
    }

    /// The study as TOML with every default spelled out.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).unwrap_or_else(|error| format!("# this study has no form in TOML: {error}\n"))
    }

    /// Whether it needs a text.
    pub fn needs_text(&self) -> bool {
        !matches!(self.study, Experiment::Recall(_))
    }

    /// The configuration of a run that trains a model with the seed of repeat `repeat`.
    pub fn training(&self, model: &ModelConfig, repeat: usize) -> Config {
        Config {
            seed: self.seed + repeat as u64,
            data: self.data.clone().unwrap_or_default(),
            tokenizer: self.tokenizer.clone().unwrap_or(TokenizerConfig::Byte(ByteTokenizerConfig::default())),
            model: model.clone(),
            start: None,
            distillation: None,
            preference: None,
            adapter: None,
            train_only: None,
            rates: None,
            optimizer: self.optimizer.clone(),
            schedule: self.schedule.clone(),
            averaging: None,
            run: self.run.clone(),
            estimates: None,
        }
    }

    /// Every broken rule.
    pub fn validate(&self) -> Vec<Violation> {
        let mut violations = Vec::new();
        if self.seed > 1 << 62 {
            violations.push(Violation::new("seed", format!("must be at most {}, is {}", 1_u64 << 62, self.seed)));
        }
        violations.extend(whole_at_least("seeds", 1, self.seeds as u64));
        violations.extend(self.of_text());
        violations.extend(self.of_models());
        let sections = [
            ("optimizer", self.optimizer.validate()),
            ("schedule", self.schedule.validate(self.run.steps)),
            ("run", self.run.validate()),
            ("study", self.study.validate(&self.run)),
        ];
        let of_sections =
            sections.into_iter().flat_map(|(section, found)| found.into_iter().map(move |one| one.under(section)));
        violations.extend(of_sections);
        violations
    }

    fn of_text(&self) -> Vec<Violation> {
        let mut violations = Vec::new();
        violations.extend(self.data.iter().flat_map(DataConfig::validate).map(|found| found.under("data")));
        violations
            .extend(self.tokenizer.iter().flat_map(TokenizerConfig::validate).map(|found| found.under("tokenizer")));
        let example = [
            ("data", self.data.is_some(), "[data.builtin]"),
            ("tokenizer", self.tokenizer.is_some(), "[tokenizer.character]"),
        ];
        for (key, is_there, example) in example {
            if self.needs_text() && !is_there {
                violations.push(
                    Violation::new(key, "is missing: the models are trained on a text")
                        .with_help(format!("add `{example}`")),
                );
            } else if !self.needs_text() && is_there {
                violations.push(Violation::new(key, "must be left out: the study makes its own examples"));
            }
        }
        violations
    }

    fn of_models(&self) -> Vec<Violation> {
        let mut violations = Vec::new();
        if self.models.is_empty() {
            violations.push(Violation::new("models", "is empty"));
        }
        for (index, NamedModel { name, model }) in self.models.iter().enumerate() {
            let table = format!("models[{index}]");
            violations.extend(model.validate().into_iter().map(|found| found.under("model").under(&table)));
            if name.trim().is_empty() {
                violations.push(Violation::new(format!("{table}.name"), "is empty"));
            }
            if self.models[..index].iter().any(|other| other.name == *name) {
                violations.push(Violation::new(format!("{table}.name"), format!("is that of another model, `{name}`")));
            }
            if model.reads_pairs() {
                let message = format!("is an {}, and studies are of models that continue a text", model.name());
                violations.push(Violation::new(format!("{table}.model"), message));
            }
            if matches!(self.study, Experiment::Attention(_)) && !matches!(model, ModelConfig::Transformer(_)) {
                let message = "has no attention: only a `transformer` does";
                violations.push(Violation::new(format!("{table}.model"), message));
            }
            if matches!(self.study, Experiment::Explosion(_)) && matches!(model, ModelConfig::Transformer(_)) {
                let message = "has no recurrent matrix to be scaled: use `rnn`, `lstm` or `gru`";
                violations.push(Violation::new(format!("{table}.model"), message));
            }
        }
        violations
    }
}

#[cfg(test)]
mod tests;
