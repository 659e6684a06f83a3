//! A configuration from its file, checked, and back.

use std::path::Path;

use kiln_settings::{
    ConfigErrors, ConfigFileError, Hints, Override, Replaced, Schema, Setting, Source, Tree, Violation, read_source,
    read_with, replaced,
};

use kiln_data::corpus::DataConfig;
use kiln_models::{AdapterConfig, TokenizerConfig};

use super::finetuning::{DistillationConfig, PreferenceConfig, RatesConfig, StartConfig, TrainOnlyConfig};
use super::rules;
use super::sections::Config;
use super::words;
use crate::gradient_measurements::EstimatesConfig;

/// What the types do not say of the keys of a configuration.
pub const HINTS: Hints<'static> = Hints {
    alternatives: &[("data", &["file", "download", "builtin", "conversations", "pairs", "builtin-pairs"])],
    word: words::explain,
};

impl Config {
    /// Reads a configuration from its text, with keys set on the command line.
    ///
    /// # Errors
    /// Every problem that the text and the overrides have.
    pub fn read(source: &Source, overrides: &[Override]) -> Result<Self, ConfigErrors> {
        read_with(source, overrides, &HINTS, Self::validate)
    }

    /// Reads a configuration without `[data]`, for a text that the caller has.
    ///
    /// # Errors
    /// Every problem that the text has; a `[data]` is one.
    pub fn read_without_data(source: &Source) -> Result<Self, ConfigErrors> {
        let mut tree = Tree::parse(source, &[])?;
        if let Some(data) = tree.take("data") {
            let message = "`data` names a text, but the text is given by the program";
            return Err(data.errors(vec![data.problem("data", message, "leave the table out")]));
        }
        let schema = Schema::of::<Self>();
        let any_text = Override { name: String::new(), key: "data.builtin".to_owned(), value: "{}".to_owned() };
        tree.set(&Setting::of_override(&any_text, 0), &schema, &HINTS)?;
        let config: Self = tree.read(&schema, &HINTS, Self::validate)?;
        Ok(Self { data: DataConfig::default(), ..config })
    }

    /// Whether keys set on the command line are keys of a configuration like this one, with values of their kinds. The
    /// rules that hold between keys are not checked: another configuration may have other values beside them.
    ///
    /// # Errors
    /// Every key that is unknown, and every value that is of another kind.
    pub fn check_kinds(like: &Source, overrides: &[Override]) -> Result<(), ConfigErrors> {
        read_with(like, overrides, &HINTS, |_: &Self| Vec::new()).map(|_| ())
    }

    /// The tables of a configuration that keys set on the command line replace by another one of the same choice.
    pub fn replaced(source: &Source, overrides: &[Override]) -> Vec<Replaced> {
        replaced::<Self>(source, overrides, &HINTS)
    }

    /// Reads a configuration file, with keys set on the command line.
    ///
    /// # Errors
    /// When the file cannot be read, isn't UTF-8, or is wrong.
    pub fn open(path: &Path, overrides: &[Override]) -> Result<Self, ConfigFileError> {
        let source = read_source(path)?;
        Ok(Self::read(&source, overrides)?)
    }

    /// Looks for the relative paths of `file`, the configuration, in its folder: those that lead to something there
    /// lead there from now on. What `overrides` name was typed, and leads where it leads from the current folder.
    #[must_use]
    pub fn look_beside(mut self, file: &Path, overrides: &[Override]) -> Self {
        let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) else { return self };
        let is_typed = |section: &str| overrides.iter().any(|given| given.text().trim_start().starts_with(section));
        if !is_typed("data") {
            self.data.look_in(folder);
        }
        let tokenizer = match &mut self.tokenizer {
            TokenizerConfig::File(config) => Some(("tokenizer", &mut config.path)),
            _ => None,
        };
        let start = self.start.as_mut().map(|start| ("start", &mut start.from));
        let teacher = self.distillation.as_mut().map(|distillation| ("distillation", &mut distillation.teacher));
        for (section, path) in [tokenizer, start, teacher].into_iter().flatten() {
            if !is_typed(section) && folder.join(&*path).exists() {
                *path = folder.join(&*path);
            }
        }
        self
    }

    /// Every broken rule, keys from the root of the file.
    pub fn validate(&self) -> Vec<Violation> {
        let sections = [
            ("data", self.data.validate()),
            ("tokenizer", self.tokenizer.validate()),
            ("model", self.model.validate()),
            ("start", self.start.as_ref().map(StartConfig::validate).unwrap_or_default()),
            ("distillation", self.distillation.as_ref().map(DistillationConfig::validate).unwrap_or_default()),
            ("preference", self.preference.as_ref().map(PreferenceConfig::validate).unwrap_or_default()),
            ("adapter", self.adapter.as_ref().map(AdapterConfig::validate).unwrap_or_default()),
            ("train-only", self.train_only.as_ref().map(TrainOnlyConfig::validate).unwrap_or_default()),
            ("rates", self.rates.as_ref().map(RatesConfig::validate).unwrap_or_default()),
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
