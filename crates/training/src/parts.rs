//! Which parameters of a model are trained, and at which part of the schedule's rate.

use std::collections::{BTreeMap, BTreeSet};

use burn::module::Module;
use burn::tensor::Device;
use kiln_models::{AdapterError, LanguageModel};
use kiln_parameters::{Parameter, Role, catalogue, fits, freeze};

use crate::config::{Config, RatesConfig, TrainOnlyConfig};

/// What `[adapter]`, `[train-only]` and `[rates]` say of a model's parameters.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Parts {
    /// Paths of those that stay as they are.
    frozen: BTreeSet<String>,
    /// Updates after which one is trained, by path, where it isn't from the start.
    later: BTreeMap<String, u64>,
    /// What the rate is multiplied by, by path, where that isn't 1.
    factors: BTreeMap<String, f64>,
    /// Whether adapters alone are trained, and saved.
    are_adapters: bool,
}

/// What `[start]`, `[adapter]`, `[train-only]` or `[rates]` says does not fit the parameters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PartsError {
    /// A pattern that fits nothing is a mistake.
    #[error("`{key}`: `{pattern}` fits no parameter of {of}, which has {}", listed(parameters))]
    Pattern {
        /// The key.
        key: &'static str,
        /// The pattern.
        pattern: String,
        /// Whose parameters they are.
        of: String,
        /// Their paths.
        parameters: Vec<String>,
    },
    /// Nothing is left to train.
    #[error("`[train-only]` leaves nothing to train: the head is the table of the tokens, which is not named")]
    Nothing,
    /// Adapters that don't fit the model.
    #[error(transparent)]
    Adapter(#[from] AdapterError),
    /// The model that is to be trained has no adapters.
    #[error("`[adapter]` trains adapters alone, and the model has none: `LanguageModel::adapted` adds them")]
    NoAdapters,
}

/// How many are named.
const SHOWN: usize = 12;

/// Paths, in quotes; of many layers those of the first.
pub(crate) fn listed(paths: &[String]) -> String {
    let mut words: Vec<String> = paths.iter().take(SHOWN).map(|path| format!("`{path}`")).collect();
    if paths.len() > SHOWN {
        words.push(format!("and {} more", paths.len() - SHOWN));
    }
    words.join(", ")
}

/// Makes sure that each pattern fits a path.
pub(crate) fn check_patterns<'a>(
    key: &'static str,
    patterns: impl IntoIterator<Item = &'a String>,
    of: &str,
    paths: &[String],
) -> Result<(), PartsError> {
    let unfit = patterns.into_iter().find(|pattern| !paths.iter().any(|path| fits(pattern, path)));
    unfit.map_or(Ok(()), |pattern| {
        Err(PartsError::Pattern { key, pattern: pattern.clone(), of: of.to_owned(), parameters: paths.to_vec() })
    })
}

impl Parts {
    /// Of the model of a configuration, which is not made for it.
    ///
    /// # Errors
    /// When a pattern fits nothing, or nothing is left to train.
    pub fn of_config(config: &Config, vocabulary: usize) -> Result<Self, PartsError> {
        Self::new(config, &catalogue(&blank(config, vocabulary)?))
    }

    /// Of these parameters.
    ///
    /// # Errors
    /// As [`Parts::of_config`].
    pub fn new(config: &Config, parameters: &[Parameter]) -> Result<Self, PartsError> {
        let are_adapters = config.adapter.is_some();
        let frozen = match (&config.adapter, &config.train_only) {
            (Some(_), _) => Some(all_but_adapters(parameters)?),
            (None, only) => only.as_ref().map(|only| frozen(only, parameters)).transpose()?,
        };
        let mut frozen = frozen.unwrap_or_default();
        let later = config.train_only.as_ref().map(|only| later(only, parameters, &frozen)).unwrap_or_default();
        frozen.retain(|path| !later.contains_key(path));
        let factors = config.rates.as_ref().map(|rates| factors(rates, parameters)).transpose()?;
        Ok(Self { frozen, later, factors: factors.unwrap_or_default(), are_adapters })
    }

    /// Whether a parameter is trained, sooner or later.
    pub fn trains(&self, path: &str) -> bool {
        !self.frozen.contains(path)
    }

    /// Updates after which a parameter is trained, by path; from the start where there is nothing.
    pub fn later(&self) -> &BTreeMap<String, u64> {
        &self.later
    }

    /// How many times more was trained than before, before the update `step`, counted from 1.
    pub(crate) fn stage(&self, step: u64) -> usize {
        self.later.values().filter(|after| **after < step).collect::<BTreeSet<_>>().len()
    }

    /// Whether adapters alone are trained, so that a checkpoint holds nothing else.
    pub(crate) fn are_adapters(&self) -> bool {
        self.are_adapters
    }

    /// What the rate is multiplied by, by path; 1 where there is nothing.
    pub fn factors(&self) -> &BTreeMap<String, f64> {
        &self.factors
    }

    /// The model to be trained, with autodiff, of one without it.
    pub(crate) fn trained(&self, model: LanguageModel) -> LanguageModel {
        self.trained_in(model, u64::MAX)
    }

    /// The same in the update `step`, counted from 1.
    pub(crate) fn trained_in(&self, model: LanguageModel, step: u64) -> LanguageModel {
        let model = model.train();
        if self.frozen.is_empty() && self.later.is_empty() {
            return model;
        }
        let is_late = |path: &str| self.later.get(path).is_some_and(|after| *after >= step);
        freeze(model, |parameter| self.trains(&parameter.path) && !is_late(&parameter.path))
    }
}

/// The model of a configuration, with its adapters and without values.
pub(crate) fn blank(config: &Config, vocabulary: usize) -> Result<LanguageModel, AdapterError> {
    let device = Device::flex();
    let model = config.model.blank(vocabulary, config.run.context, &device);
    match &config.adapter {
        Some(adapter) => model.with_blank_adapters(adapter, &device),
        None => Ok(model),
    }
}

fn all_but_adapters(parameters: &[Parameter]) -> Result<BTreeSet<String>, PartsError> {
    let others = parameters.iter().filter(|parameter| parameter.role != Role::Adapter);
    let frozen: BTreeSet<String> = others.map(|parameter| parameter.path.clone()).collect();
    if frozen.len() == parameters.len() { Err(PartsError::NoAdapters) } else { Ok(frozen) }
}

/// The paths of what isn't trained.
fn frozen(only: &TrainOnlyConfig, parameters: &[Parameter]) -> Result<BTreeSet<String>, PartsError> {
    let paths: Vec<String> = parameters.iter().map(|parameter| parameter.path.clone()).collect();
    check_patterns("train-only.parameters", &only.parameters, "the model", &paths)?;
    let layers = layers(parameters);
    let is_high = |parameter: &Parameter| {
        only.last_layers.is_some_and(|last| depth(parameter, layers) > layers.saturating_sub(last))
    };
    let is_named = |path: &str| only.parameters.iter().any(|pattern| fits(pattern, path));
    let frozen: BTreeSet<String> = parameters
        .iter()
        .filter(|parameter| !is_high(parameter) && !is_named(&parameter.path))
        .map(|parameter| parameter.path.clone())
        .collect();
    if frozen.len() == parameters.len() { Err(PartsError::Nothing) } else { Ok(frozen) }
}

/// Updates after which each of these frozen parameters is trained: one layer after the other, downwards.
fn later(only: &TrainOnlyConfig, parameters: &[Parameter], frozen: &BTreeSet<String>) -> BTreeMap<String, u64> {
    let (Some(every), Some(last)) = (only.unfreeze_every, only.last_layers) else { return BTreeMap::new() };
    let layers = layers(parameters);
    let after = |parameter: &Parameter| {
        let below = layers.saturating_sub(last) + 1 - depth(parameter, layers).min(layers.saturating_sub(last));
        (parameter.path.clone(), every.saturating_mul(below as u64))
    };
    parameters.iter().filter(|parameter| frozen.contains(&parameter.path)).map(after).collect()
}

fn factors(rates: &RatesConfig, parameters: &[Parameter]) -> Result<BTreeMap<String, f64>, PartsError> {
    let paths: Vec<String> = parameters.iter().map(|parameter| parameter.path.clone()).collect();
    check_patterns("rates.multipliers", rates.multipliers.keys(), "the model", &paths)?;
    let layers = layers(parameters);
    let factor = |parameter: &Parameter| {
        let above = layers + 1 - depth(parameter, layers);
        let multipliers = rates.multipliers.iter().filter(|(pattern, _)| fits(pattern, &parameter.path));
        // At most 1024 layers.
        multipliers.fold(rates.layer_decay.powi(above as i32), |product, (_, factor)| product * factor)
    };
    let all = parameters.iter().map(|parameter| (parameter.path.clone(), factor(parameter)));
    Ok(all.filter(|(_, factor)| *factor != 1.0).collect())
}

/// The number of the layer that a parameter belongs to, `layers.0.input_weight` or `blocks.0.norm.weight`.
fn layer(path: &str) -> Option<usize> {
    let mut parts = path.split('.');
    matches!(parts.next(), Some("layers" | "blocks")).then(|| parts.next()?.parse().ok()).flatten()
}

fn layers(parameters: &[Parameter]) -> usize {
    parameters.iter().filter_map(|parameter| layer(&parameter.path)).max().map_or(0, |last| last + 1)
}

/// How high a parameter is: 0 are the tables, 1 is the first layer, `layers` + 1 is what stands above the last.
fn depth(parameter: &Parameter, layers: usize) -> usize {
    match layer(&parameter.path) {
        Some(layer) => layer + 1,
        None if parameter.role == Role::Embedding => 0,
        None => layers + 1,
    }
}

#[cfg(test)]
mod tests {
    use kiln_settings::Source;

    use super::*;

    fn parts(settings: &str) -> Result<Parts, PartsError> {
        let text = format!(
            "{settings}\n[data.builtin]\n[tokenizer.character]\n[model.transformer]\nlayers = 2\nheads = 1\nwidth = \
             4\n[optimizer.sgd]\n[schedule.constant]\nrate = 1.0\n[run]\nsteps = 1\nbatch = 1\ncontext = 4\n"
        );
        let config = Config::read(&Source::new("test", text), &[]).unwrap_or_else(|errors| panic!("{errors}"));
        Parts::of_config(&config, 5)
    }

    #[test]
    fn the_last_layers_have_what_stands_above_them() {
        let parts = parts("[train-only]\nlast-layers = 1\nparameters = [\"blocks.0.*norm*\"]").unwrap();
        let trained = ["blocks.1.attention.output.weight", "final_norm.weight"];
        let frozen = ["token_embedding.weight", "position_embedding.weight", "blocks.0.feed_forward.input.weight"];
        assert!(trained.iter().all(|path| parts.trains(path)), "{parts:?}");
        assert!(frozen.iter().all(|path| !parts.trains(path)), "{parts:?}");
    }

    /// Of two blocks the upper one is trained from the start, the lower one after 10 updates, the tables after 20.
    #[test]
    fn layers_are_trained_one_after_the_other() {
        let parts = parts("[train-only]\nlast-layers = 1\nunfreeze-every = 10").unwrap();
        let after = |path: &str| parts.later().get(path).copied();
        assert_eq!(after("blocks.1.attention.output.weight"), None);
        assert_eq!(after("final_norm.weight"), None);
        assert_eq!(after("blocks.0.attention.output.weight"), Some(10));
        assert_eq!(after("token_embedding.weight"), Some(20));
        assert_eq!([1, 10, 11, 20, 21, 99].map(|step| parts.stage(step)), [0, 0, 1, 1, 2, 2]);
        assert!(parts.trains("token_embedding.weight"));
    }

    #[test]
    fn the_rate_decays_by_layers_and_is_multiplied() {
        let parts = parts("[rates]\nlayer-decay = 0.5\nmultipliers = { \"blocks.1.*\" = 4.0, \"*output*\" = 3.0 }");
        let parts = parts.unwrap();
        let factor = |path: &str| parts.factors().get(path).copied();
        // 0.5 to the power of 3, 2, 1, 0, from the tables to what stands above the layers.
        assert_eq!(factor("token_embedding.weight"), Some(0.125));
        assert_eq!(factor("blocks.0.feed_forward.input.weight"), Some(0.25));
        assert_eq!(factor("blocks.0.feed_forward.output.weight"), Some(0.75));
        assert_eq!(factor("blocks.1.feed_forward.input.weight"), Some(2.0));
        assert_eq!(factor("blocks.1.feed_forward.output.weight"), Some(6.0));
        assert_eq!(factor("final_norm.weight"), None);
    }

    #[test]
    fn what_fits_nothing_is_named() {
        let error = parts("[train-only]\nparameters = [\"layers.*\"]").unwrap_err().to_string();
        assert!(
            error.starts_with("`train-only.parameters`: `layers.*` fits no parameter of the model, which has `token_"),
            "{error}"
        );
        assert!(error.ends_with("more"), "{error}");
        let error = parts("[rates]\nmultipliers = { \"*.gain\" = 2.0 }").unwrap_err().to_string();
        assert!(error.starts_with("`rates.multipliers`: `*.gain` fits no parameter"), "{error}");
    }
}
