//! `[start]`, `[distillation]`, `[train-only]` and `[rates]`: what training begins with, what it learns from beside the
//! text, and what of the model it moves, how fast.

use std::collections::BTreeMap;
use std::path::PathBuf;

use kiln_settings::Violation;
use kiln_settings::rules::positive;
use serde::{Deserialize, Serialize};

/// The weights that training starts from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct StartConfig {
    /// The model: a run, of which the best checkpoint is taken, a checkpoint, a folder in Hugging Face's form or a GGUF
    /// file.
    pub from: PathBuf,
    /// Patterns of the parameters that are taken, `*` standing for any characters. Default: all.
    #[serde(default)]
    pub only: Vec<String>,
    /// Patterns of parameters that are not taken. Default: none.
    #[serde(default)]
    pub except: Vec<String>,
    /// Whether numbers of matrices that are exactly zero stay so. Default `false`.
    #[serde(default)]
    pub keep_zeros: bool,
    /// Whether a smaller start model is made as large as `[model]` says, computing what it did. Default `false`.
    #[serde(default)]
    pub grow: bool,
    /// Whether the table of learned positions is stretched to a longer context. Default `false`.
    #[serde(default)]
    pub stretch_positions: bool,
}

impl StartConfig {
    /// Every broken rule, keys relative to `[start]`.
    pub fn validate(&self) -> Vec<Violation> {
        let from = no_model("from", &self.from);
        let patterns = [("only", &self.only), ("except", &self.except)];
        from.into_iter().chain(patterns.into_iter().flat_map(|(key, patterns)| empty(key, patterns))).collect()
    }

    /// Whether the whole model is taken.
    pub fn takes_all(&self) -> bool {
        self.only.is_empty() && self.except.is_empty()
    }
}

/// A model whose probabilities are learned beside the text.
///
/// With w = `weight` and T = `temperature` the loss of a token is (1 - w) H + w T^2 K, where H is the cross-entropy of
/// the text and K = KL(softmax(t / T) || softmax(s / T)) for the logits t of the teacher and s of the model that is
/// trained (Hinton, Vinyals, Dean 2015, <https://arxiv.org/abs/1503.02531>, section 2).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DistillationConfig {
    /// The teacher, a model of any family with the same vocabulary, named as `start.from` is.
    pub teacher: PathBuf,
    /// T, above 0. Default `2.0`.
    #[serde(default = "two")]
    pub temperature: f64,
    /// w, from 0 to 1. Default `0.5`.
    #[serde(default = "half")]
    pub weight: f64,
}

fn two() -> f64 {
    2.0
}

fn half() -> f64 {
    0.5
}

impl DistillationConfig {
    /// Every broken rule, keys relative to `[distillation]`.
    pub fn validate(&self) -> Vec<Violation> {
        let is_share = (0.0..=1.0).contains(&self.weight);
        let weight = || {
            Violation::new("weight", format!("must be between 0 and 1, is {}", self.weight))
                .with_help("0 learns from the text alone, 1 from the teacher alone")
        };
        let weight = (!is_share).then(weight);
        [no_model("teacher", &self.teacher), positive("temperature", self.temperature), weight]
            .into_iter()
            .flatten()
            .collect()
    }
}

/// How preferences are learned: exactly one table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum PreferenceConfig {
    /// Direct preference optimization.
    Dpo(DpoConfig),
}

/// Direct preference optimization (Rafailov et al. 2023, <https://arxiv.org/abs/2305.18290>, equation 7).
///
/// With the answers y of a prompt x, the chosen one first, d = ln p(y1|x) - ln p(y2|x) less that of the start model,
/// β = `beta` and e = `label_smoothing`, the loss of a pair is -(1 - e) ln σ(β d) - e ln σ(-β d).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DpoConfig {
    /// β, above 0: how much the model is held to the start model. Default `0.1`.
    #[serde(default = "tenth")]
    pub beta: f64,
    /// e, from 0 to below 0.5: how many of the preferences are taken to be wrong. Default `0.0`.
    #[serde(default)]
    pub label_smoothing: f64,
}

fn tenth() -> f64 {
    0.1
}

impl PreferenceConfig {
    /// Every broken rule, keys relative to `[preference]`.
    pub fn validate(&self) -> Vec<Violation> {
        let DpoConfig { beta, label_smoothing } = self.dpo();
        let smoothing = (!(0.0..0.5).contains(&label_smoothing)).then(|| {
            Violation::new("label-smoothing", format!("must be 0 or more and below 0.5, is {label_smoothing}"))
                .with_help("0.1 takes a tenth of the preferences to be wrong")
        });
        positive("beta", beta).into_iter().chain(smoothing).map(|violation| violation.under("dpo")).collect()
    }

    /// The settings.
    pub fn dpo(&self) -> DpoConfig {
        let Self::Dpo(settings) = self;
        *settings
    }
}

/// The parameters that are trained: what either key names. The others stay as they are, bit by bit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TrainOnlyConfig {
    /// Patterns of parameters, `*` standing for any characters. Default: none.
    #[serde(default)]
    pub parameters: Vec<String>,
    /// The highest N layers, with what stands above them: the last norm, and a head with weights of its own. Default:
    /// none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_layers: Option<usize>,
    /// Updates after each of which the next lower layer is trained too, the tables last, >= 1 (Howard and Ruder 2018,
    /// <https://arxiv.org/abs/1801.06146>, section 3.3); needs `last-layers`. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unfreeze_every: Option<u64>,
}

impl TrainOnlyConfig {
    /// Every broken rule, keys relative to `[train-only]`.
    pub fn validate(&self) -> Vec<Violation> {
        let nothing = self.parameters.is_empty() && self.last_layers.is_none();
        let nothing = nothing.then(|| {
            Violation::new("parameters", "is empty, and there is no `last-layers`, so that nothing would be trained")
                .with_help("for example `parameters = [\"*.bias\"]` or `last-layers = 1`")
        });
        let unfreezes = self.unfreeze_every.and_then(|every| match self.last_layers {
            _ if every == 0 => Some(Violation::new("unfreeze-every", "must be 1 or more, is 0")),
            None => Some(
                Violation::new("unfreeze-every", "needs `last-layers`, the layers that are trained from the start")
                    .with_help("last-layers = 1"),
            ),
            Some(_) => None,
        });
        nothing.into_iter().chain(unfreezes).chain(empty("parameters", &self.parameters)).collect()
    }
}

/// Parts of the rate that the schedule gives, for some of the parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RatesConfig {
    /// What the rate of a layer is multiplied by for each layer above it, the head counting as one, and the tables of
    /// tokens and positions as the lowest; above 0, at most 1. Default `1.0`.
    #[serde(default = "one")]
    pub layer_decay: f64,
    /// What the rate of parameters that fit a pattern is multiplied by, above 0; several that fit multiply. Default: no
    /// pattern.
    #[serde(default)]
    pub multipliers: BTreeMap<String, f64>,
}

fn one() -> f64 {
    1.0
}

impl RatesConfig {
    /// Every broken rule, keys relative to `[rates]`.
    pub fn validate(&self) -> Vec<Violation> {
        let decay = self.layer_decay;
        let decay = (!(decay > 0.0 && decay <= 1.0))
            .then(|| Violation::new("layer-decay", format!("must be above 0 and at most 1, is {decay}")));
        let multipliers = self.multipliers.iter().filter(|(_, factor)| !(**factor > 0.0 && factor.is_finite()));
        let multipliers = multipliers.map(|(pattern, factor)| {
            Violation::new(format!("multipliers.{pattern}"), format!("must be above 0, is {factor}"))
                .with_help("`[train-only]` says what isn't trained")
        });
        decay.into_iter().chain(multipliers).collect()
    }
}

fn no_model(key: &str, path: &std::path::Path) -> Option<Violation> {
    let violation = || Violation::new(key, "must name a model, is empty").with_help(format!("{key} = \"runs/base\""));
    path.as_os_str().is_empty().then(violation)
}

fn empty<'a>(key: &'a str, patterns: &'a [String]) -> impl Iterator<Item = Violation> + 'a {
    let empty = patterns.iter().enumerate().filter(|(_, pattern)| pattern.is_empty());
    empty.map(move |(index, _)| Violation::new(format!("{key}[{index}]"), "is empty, and fits no parameter"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_trains_nothing_and_multiplies_by_nothing_is_named() {
        let only: TrainOnlyConfig = toml::from_str("").unwrap();
        let found: Vec<String> = only.validate().into_iter().map(|violation| violation.key).collect();
        assert_eq!(found, ["parameters"]);
        let only: TrainOnlyConfig = toml::from_str("parameters = [\"*\"]\nunfreeze-every = 5").unwrap();
        assert_eq!(only.validate().len(), 1);
        let only: TrainOnlyConfig = toml::from_str("last-layers = 1\nunfreeze-every = 0").unwrap();
        assert_eq!(only.validate().len(), 1);
        let rates: RatesConfig =
            toml::from_str("multipliers = { \"*.bias\" = 0.0, \"a\" = 1.0, \"b\" = inf }").unwrap();
        let found: Vec<String> = rates.validate().into_iter().map(|violation| violation.key).collect();
        assert_eq!(found, ["multipliers.*.bias", "multipliers.b"]);
    }
}
