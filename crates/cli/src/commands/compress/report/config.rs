//! The file of a report: which models are made smaller, and how.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use kiln_compression::CompressConfig;
use kiln_settings::rules::whole_at_least;
use kiln_settings::{ConfigFileError, Override, Violation, read, read_source};
use serde::{Deserialize, Serialize};

use crate::kinds::{FileKind, refuse_others};

/// Several models, each made smaller in several ways.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct ReportConfig {
    /// The title of the report.
    pub(crate) title: String,
    /// Rounds of writing, of which the median counts, >= 1. Default `5`.
    #[serde(default = "five")]
    pub(super) rounds: u64,
    /// The models.
    pub(crate) models: Vec<ReportedModel>,
    /// What is done to each.
    pub(crate) variants: Vec<CompressConfig>,
}

/// A model that is made smaller.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct ReportedModel {
    /// What the report calls it.
    pub(super) name: String,
    /// A folder or a file of a model, beside this file or from the current folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) path: Option<String>,
    /// A run, by its name among the runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) run: Option<String>,
    /// The configuration that the run is trained with first where it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) train: Option<String>,
    /// The text that losses are measured on. Default: the validation split of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) text: Option<String>,
    /// The text of the calibration where a variant names none. Default: the training text of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) calibration: Option<String>,
    /// Tokens of a window, >= 1. Default: those that the model was made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) context: Option<u64>,
    /// Tokens at the beginning of the text that are measured on, >= 2. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) tokens: Option<u64>,
    /// Whether the report goes without it where its file is not there. Default `false`.
    #[serde(default)]
    pub(super) optional: bool,
}

fn five() -> u64 {
    5
}

impl ReportConfig {
    /// Reads it.
    ///
    /// # Errors
    /// When the file cannot be read, is wrong, or is of another kind.
    pub(crate) fn open(path: &Path, overrides: &[Override]) -> Result<Self, ConfigFileError> {
        let source = read_source(path)?;
        refuse_others(&source, overrides, &[FileKind::Compression])?;
        let mut config = read(&source, overrides, Self::validate)?;
        config.look_beside(path);
        Ok(config)
    }

    /// Takes files that lie beside the file of the report from there; others are looked for in the current folder.
    fn look_beside(&mut self, file: &Path) {
        let folder = file.parent().unwrap_or(Path::new(""));
        let of_models = self.models.iter_mut().flat_map(|model| {
            let ReportedModel { path, train, text, calibration, .. } = model;
            [path, train, text, calibration]
        });
        let of_variants = self.variants.iter_mut().map(|variant| &mut variant.calibration);
        for path in of_models.chain(of_variants).flatten() {
            let beside = folder.join(&*path);
            if beside.exists() {
                *path = beside.to_string_lossy().into_owned();
            }
        }
    }

    fn validate(&self) -> Vec<Violation> {
        let mut violations = Vec::new();
        violations.extend(whole_at_least("rounds", 1, self.rounds));
        for (key, is_empty) in [("models", self.models.is_empty()), ("variants", self.variants.is_empty())] {
            violations.extend(is_empty.then(|| Violation::new(key, "is empty")));
        }
        let mut names = BTreeSet::new();
        for (index, model) in self.models.iter().enumerate() {
            let of_model = model.validate().into_iter().chain(model.other_of_that_name(&mut names));
            violations.extend(of_model.map(|violation| violation.under(&format!("models[{index}]"))));
        }
        let mut labels = BTreeSet::new();
        for (index, variant) in self.variants.iter().enumerate() {
            let (name, table) = (variant.name(), format!("variants[{index}]"));
            violations.extend(variant.validate().into_iter().map(|violation| violation.under(&table)));
            if !labels.insert(name.clone()) {
                let message = format!("is that of another variant, `{name}`");
                violations.push(Violation::new(format!("{table}.label"), message));
            }
        }
        violations
    }
}

impl ReportedModel {
    /// What the files of its pictures are called by.
    pub(super) fn file_name(&self) -> String {
        let plain = |letter: char| if letter.is_alphanumeric() { letter.to_ascii_lowercase() } else { '-' };
        self.name.chars().map(plain).collect()
    }

    fn other_of_that_name(&self, names: &mut BTreeSet<String>) -> Option<Violation> {
        let message = || format!("is almost that of another model, `{}`", self.name);
        (!names.insert(self.file_name())).then(|| Violation::new("name", message()))
    }

    fn validate(&self) -> Vec<Violation> {
        let mut violations = Vec::new();
        if self.name.trim().is_empty() {
            violations.push(Violation::new("name", "is empty"));
        }
        match (&self.path, &self.run) {
            (None, None) => {
                let help = "write `run = \"NAME\"`, or `path = \"model.gguf\"` for a model of another program";
                violations.push(Violation::new("run", "is missing").with_help(help));
            }
            (Some(_), Some(_)) => violations.push(Violation::new("run", "must be left out beside `path`")),
            _ => {}
        }
        if self.train.is_some() && self.run.is_none() {
            let help = "write the name of the run that it trains, `run = \"NAME\"`";
            violations.push(Violation::new("train", "needs `run` beside it").with_help(help));
        }
        if self.train.is_some() && self.optional {
            violations.push(Violation::new("optional", "must be left out beside `train`, which makes the model"));
        }
        violations.extend(self.context.and_then(|context| whole_at_least("context", 1, context)));
        violations.extend(self.tokens.and_then(|tokens| whole_at_least("tokens", 2, tokens)));
        violations
    }

    /// The texts that it names.
    pub(super) fn texts(&self) -> impl Iterator<Item = PathBuf> {
        self.text.iter().chain(&self.calibration).map(PathBuf::from)
    }
}

#[cfg(test)]
mod tests {
    use kiln_settings::Source;

    use super::*;

    fn problems(text: &str) -> String {
        let source = Source::new("report.toml", text);
        read(&source, &[], ReportConfig::validate).map_err(|errors| errors.to_string()).unwrap_err()
    }

    #[test]
    fn all_mistakes_come_at_once() {
        let text = "title = \"t\"\nrounds = 0\n\
                    [[models]]\nname = \"a b\"\n\
                    [[models]]\nname = \"A-b\"\nrun = \"r\"\npath = \"p\"\n\
                    [[models]]\nname = \"c\"\npath = \"p\"\ntrain = \"t.toml\"\ntokens = 1\n\
                    [[variants]]\n[variants.prune]\nsparsity = 1.0\n\
                    [[variants]]\n[variants.quantize]\nformat = \"q8_0\"\n\
                    [[variants]]\n[variants.quantize]\nformat = \"q8_0\"\n";
        let words = problems(text);
        for expected in [
            "`rounds` must be 1 or more, is 0",
            "`models[0].run` is missing",
            "`models[1].run` must be left out beside `path`",
            "`models[1].name` is almost that of another model, `A-b`",
            "`models[2].train` needs `run` beside it",
            "`models[2].tokens` must be 2 or more, is 1",
            "`variants[0].prune.sparsity` must be in [0, 1), is 1",
            "`variants[2].label` is that of another variant, `quantized to q8_0 by rounding to the nearest`",
        ] {
            assert!(words.contains(expected), "{expected} is not in\n{words}");
        }
        assert_eq!(words.matches("report.toml:").count(), 8, "{words}");
    }
}
