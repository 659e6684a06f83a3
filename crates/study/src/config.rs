//! The configuration of a study: TOML in, one checked [`Study`] out, or all mistakes at once.

use std::path::Path;

use kiln_data::corpus::DataConfig;
use kiln_models::{ByteTokenizerConfig, ModelConfig, TokenizerConfig};
use kiln_optimization::optimizers::OptimizerConfig;
use kiln_optimization::schedules::ScheduleConfig;
use kiln_settings::rules::{positive, whole_at_least};
use kiln_settings::{ConfigErrors, ConfigFileError, Override, Source, Violation, read, read_source, read_with};
use kiln_training::config::{Config, HINTS, RunConfig};
use serde::{Deserialize, Serialize};

use crate::tasks::Task;

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

/// What is measured: exactly one of these tables of `[study]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Experiment {
    /// How fast gradients vanish over distance.
    Gradients(GradientsConfig),
    /// Whether an answer is found at a distance.
    Recall(RecallConfig),
    /// How much of the text before a token is made use of.
    Context(ContextConfig),
    /// How often training diverges, with and without clipping.
    Explosion(ExplosionConfig),
    /// Where the heads of a transformer look.
    Attention(AttentionConfig),
    /// Which model is the better one at an equal budget.
    Families(FamiliesConfig),
    /// How the loss falls with the size of a model.
    Scaling(ScalingConfig),
    /// What a model does when it writes, and whether it knows what it knows.
    Behaviour(BehaviourConfig),
}

/// `[study.gradients]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct GradientsConfig {
    /// The updates after which gradients are measured, rising, up to `run.steps`. Default: 0, a tenth, and all.
    pub at: Vec<u64>,
    /// The longest distance, >= 3 and below `run.context`. Default `64`.
    pub lags: usize,
    /// Windows of the validation split, drawn at random, >= 2. Default `64`.
    pub windows: usize,
}

/// `[study.recall]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RecallConfig {
    /// What has to be recalled; each is trained for by itself.
    pub tasks: Vec<Task>,
    /// Tokens between what is asked for and the answer, rising, >= 2; training has all from 2 to the last one.
    pub distances: Vec<usize>,
    /// Examples of each distance that accuracies are measured on, >= 1. Default `256`.
    #[serde(default = "default_examples")]
    pub examples: usize,
}

/// `[study.context]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ContextConfig {
    /// Places of the validation split, drawn at random, whose next token is predicted, >= 2. Default `512`.
    pub places: usize,
}

/// `[study.explosion]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ExplosionConfig {
    /// What first recurrent matrices are multiplied by, each > 0.
    pub scales: Vec<f64>,
    /// Constant learning rates in the place of the schedule, each > 0.
    pub rates: Vec<f64>,
    /// The global gradient norm that gradients are scaled down to, > 0.
    pub clip_norm: f64,
    /// The largest size of a number of the gradient, > 0.
    pub clip_value: f64,
}

/// `[study.attention]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct AttentionConfig {
    /// The text that maps are drawn of. Default: the beginning of the validation split.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Tokens of it that are drawn, in 2 ... 64. Default `24`.
    pub tokens: usize,
    /// Windows that distances, entropies and scores are measured on, >= 2. Default `32`.
    pub windows: usize,
}

/// `[study.families]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FamiliesConfig {
    /// What is equal, each by itself: "parameters", "tokens", "flops", "seconds".
    pub equal: Vec<Equal>,
    /// Parameters of every model where they are equal, whose widths are solved for. Default: those of the first model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<u64>,
    /// Seconds of training where they are equal, > 0. Default `10`.
    #[serde(default = "ten_seconds")]
    pub seconds: f64,
}

/// What is equal between models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Equal {
    /// Parameters and tokens.
    Parameters,
    /// Tokens; the models are as they are configured.
    Tokens,
    /// Floating-point operations: those of the first model in `run.steps` updates.
    Flops,
    /// Seconds on this machine.
    Seconds,
}

/// `[study.scaling]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ScalingConfig {
    /// Sizes in parameters without those of embeddings and head, rising, at least 4; widths are solved for.
    pub parameters: Vec<u64>,
}

/// `[study.behaviour]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct BehaviourConfig {
    /// Temperatures that texts are written at, each > 0. Default `[0.25, 0.5, 0.75, 1.0, 1.25, 1.5]`.
    pub temperatures: Vec<f64>,
    /// Tokens of a text, >= 8. Default `400`.
    pub tokens: usize,
    /// The text whose surprisal is drawn. Default: the beginning of the validation split.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Bins of the reliability diagram, in 2 ... 100. Default `10`.
    pub bins: usize,
}

fn default_seed() -> u64 {
    1337
}

fn three() -> usize {
    3
}

fn default_examples() -> usize {
    256
}

fn ten_seconds() -> f64 {
    10.0
}

impl Default for GradientsConfig {
    fn default() -> Self {
        Self { at: Vec::new(), lags: 64, windows: 64 }
    }
}

impl Default for ContextConfig {
    fn default() -> Self {
        Self { places: 512 }
    }
}

impl Default for AttentionConfig {
    fn default() -> Self {
        Self { text: None, tokens: 24, windows: 32 }
    }
}

impl Default for BehaviourConfig {
    fn default() -> Self {
        Self { temperatures: vec![0.25, 0.5, 0.75, 1.0, 1.25, 1.5], tokens: 400, text: None, bins: 10 }
    }
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

impl Experiment {
    /// The name of its table.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Gradients(_) => "gradients",
            Self::Recall(_) => "recall",
            Self::Context(_) => "context",
            Self::Explosion(_) => "explosion",
            Self::Attention(_) => "attention",
            Self::Families(_) => "families",
            Self::Scaling(_) => "scaling",
            Self::Behaviour(_) => "behaviour",
        }
    }

    fn validate(&self, run: &RunConfig) -> Vec<Violation> {
        let found = match self {
            Self::Gradients(config) => config.validate(run),
            Self::Recall(config) => config.validate(),
            Self::Context(config) => whole_at_least("places", 2, config.places as u64).into_iter().collect(),
            Self::Explosion(config) => config.validate(),
            Self::Attention(config) => config.validate(),
            Self::Families(config) => config.validate(),
            Self::Scaling(config) => config.validate(),
            Self::Behaviour(config) => config.validate(),
        };
        found.into_iter().map(|violation| violation.under(self.name())).collect()
    }
}

/// A violation where values don't rise.
fn rising<T: PartialOrd + std::fmt::Debug>(key: &str, values: &[T]) -> Option<Violation> {
    let falls = values.windows(2).find(|pair| pair[0] >= pair[1])?;
    Some(Violation::new(key, format!("must rise, but {:?} stands before {:?}", falls[0], falls[1])))
}

fn not_empty<T>(key: &str, values: &[T]) -> Option<Violation> {
    values.is_empty().then(|| Violation::new(key, "is empty"))
}

fn all_positive<'a>(key: &'a str, values: &'a [f64]) -> impl Iterator<Item = Violation> + 'a {
    not_empty(key, values).into_iter().chain(values.iter().find_map(|value| positive(key, *value)))
}

impl GradientsConfig {
    fn validate(&self, run: &RunConfig) -> Vec<Violation> {
        let mut violations = Vec::new();
        violations.extend(whole_at_least("lags", 3, self.lags as u64));
        violations.extend(whole_at_least("windows", 2, self.windows as u64));
        violations.extend(rising("at", &self.at));
        if let Some(late) = self.at.iter().find(|step| **step > run.steps) {
            violations.push(Violation::new("at", format!("must be at most `run.steps`, {}, is {late}", run.steps)));
        }
        if self.lags >= run.context {
            let message = format!("must be below `run.context`, {}, is {}", run.context, self.lags);
            violations.push(Violation::new("lags", message).with_help("training sees no longer distance"));
        }
        violations
    }

    /// The updates after which gradients are measured.
    pub fn stages(&self, steps: u64) -> Vec<u64> {
        if !self.at.is_empty() {
            return self.at.clone();
        }
        let mut stages = vec![0, steps / 10, steps];
        stages.dedup();
        stages
    }
}

impl RecallConfig {
    fn validate(&self) -> Vec<Violation> {
        let mut violations = Vec::new();
        violations.extend(not_empty("tasks", &self.tasks));
        violations.extend(not_empty("distances", &self.distances));
        violations.extend(rising("distances", &self.distances));
        violations.extend(self.distances.iter().find_map(|distance| whole_at_least("distances", 2, *distance as u64)));
        violations.extend(whole_at_least("examples", 1, self.examples as u64));
        violations
    }
}

impl ExplosionConfig {
    fn validate(&self) -> Vec<Violation> {
        let mut violations: Vec<Violation> = all_positive("scales", &self.scales).collect();
        violations.extend(all_positive("rates", &self.rates));
        violations.extend(positive("clip-norm", self.clip_norm));
        violations.extend(positive("clip-value", self.clip_value));
        violations
    }
}

impl AttentionConfig {
    fn validate(&self) -> Vec<Violation> {
        let mut violations: Vec<Violation> = whole_at_least("windows", 2, self.windows as u64).into_iter().collect();
        if !(2..=64).contains(&self.tokens) {
            violations.push(Violation::new("tokens", format!("must be in 2 ... 64, is {}", self.tokens)));
        }
        violations
    }
}

impl FamiliesConfig {
    fn validate(&self) -> Vec<Violation> {
        let mut violations: Vec<Violation> = not_empty("equal", &self.equal).into_iter().collect();
        violations.extend(self.parameters.and_then(|count| whole_at_least("parameters", 1, count)));
        violations.extend(positive("seconds", self.seconds));
        violations
    }
}

impl ScalingConfig {
    fn validate(&self) -> Vec<Violation> {
        let mut violations: Vec<Violation> = rising("parameters", &self.parameters).into_iter().collect();
        if self.parameters.len() < 4 {
            let message = format!("needs 4 sizes or more for a law with 3 numbers, has {}", self.parameters.len());
            violations.push(Violation::new("parameters", message));
        }
        violations.extend(self.parameters.iter().find_map(|count| whole_at_least("parameters", 1, *count)));
        violations
    }
}

impl BehaviourConfig {
    fn validate(&self) -> Vec<Violation> {
        let mut violations: Vec<Violation> = all_positive("temperatures", &self.temperatures).collect();
        violations.extend(whole_at_least("tokens", 8, self.tokens as u64));
        if !(2..=100).contains(&self.bins) {
            violations.push(Violation::new("bins", format!("must be in 2 ... 100, is {}", self.bins)));
        }
        violations
    }
}

#[cfg(test)]
mod tests;
