//! `[study]`: what is measured, and how.

use kiln_settings::Violation;
use kiln_settings::rules::{positive, whole_at_least};
use kiln_training::config::RunConfig;
use serde::{Deserialize, Serialize};

use crate::tasks::Task;

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

    pub(super) fn validate(&self, run: &RunConfig) -> Vec<Violation> {
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
