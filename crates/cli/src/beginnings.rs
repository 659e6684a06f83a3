//! What a run begins with: drawn weights or those of another model, and a teacher.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use kiln_data::shards::PreparedData;
use kiln_models::saved::{Lineage, ModelDescription, SavedModel, Which, config_of};
use kiln_models::{LanguageModel, TokenizerConfig};
use kiln_settings::{Override, Source};
use kiln_storage::steps;
use kiln_training::config::Config;
use kiln_training::learning::Teacher;
use kiln_training::parts::PartsError;
use kiln_training::start::{WarmStart, base_model, warm_start};
use toml::{Table, Value};

use crate::arguments::RunsArguments;
use crate::device::Chosen;
use crate::terminal::say;
use crate::training_display::grouped;

/// What a run begins with, or is resumed with.
pub(crate) struct Beginning {
    /// The model with its first weights; none where the run has checkpoints to resume from.
    pub(crate) model: Option<LanguageModel>,
    /// What is learned from beside the text.
    pub(crate) teacher: Option<Teacher>,
    pub(crate) origins: Origins,
}

/// Where a run's weights come from, and whom it learns from.
#[derive(Default)]
pub(crate) struct Origins {
    pub(crate) start: Option<Lineage>,
    pub(crate) teacher: Option<Lineage>,
    /// What the start model is, where its tokenizer is that of the run.
    pub(crate) description: Option<ModelDescription>,
}

impl Beginning {
    /// Of the run at `path`, which is resumed if that was asked for and there is something to resume.
    ///
    /// # Errors
    /// When a model cannot be opened, or doesn't fit the configuration: before anything is written.
    pub(crate) fn of_run(
        path: &Path,
        resume: bool,
        config: &Config,
        data: &PreparedData,
        chosen: &Chosen,
    ) -> anyhow::Result<Self> {
        let mut origins = Origins::default();
        let teacher = teacher(config, data, chosen, &mut origins)?;
        let is_resumed = resume && !steps(path)?.is_empty();
        let model = if is_resumed { None } else { Some(first_model(config, data, chosen, &mut origins)?) };
        Ok(Self { model, teacher, origins })
    }
}

/// The model of a configuration with its first weights, on the chosen device.
fn first_model(
    config: &Config,
    data: &PreparedData,
    chosen: &Chosen,
    origins: &mut Origins,
) -> anyhow::Result<LanguageModel> {
    let Some(settings) = &config.start else { return Ok(unadapted_model(config, data, chosen)) };
    let flex = Device::flex();
    // Weights that are only taken from are on the host.
    let device = if config.adapter.is_some() { &chosen.device } else { &flex };
    let mut start = open(&settings.from, |path| SavedModel::open(path, Which::Best, device))?;
    // Before they are merged: the hash is that of the files.
    let lineage = Lineage::of(&start)?;
    start.merge();
    let model = match &config.adapter {
        Some(adapter) => {
            let (context, from) = (config.run.context, &settings.from);
            let base = base_model(&config.model, context, &data.tokenizer, &start, from)?;
            say(&format!("base: {lineage}"));
            base.adapted(adapter, config.seed).map_err(PartsError::from)?
        }
        None => {
            let fresh = unadapted_model(config, data, chosen);
            let (model, report) = warm_start(fresh, &config.model, &data.tokenizer, &start, settings)?;
            say(&format!("start: {lineage}"));
            report_start(&report);
            model
        }
    };
    origins.start = Some(lineage);
    origins.description = data.tokenizer.has_vocabulary_of(&start.tokenizer).then_some(start.description);
    Ok(model)
}

/// As a run begins, without a word of what was taken.
pub(crate) fn begun_model(config: &Config, data: &PreparedData, chosen: &Chosen) -> anyhow::Result<LanguageModel> {
    first_model(config, data, chosen, &mut Origins::default())
}

/// The model of a configuration with drawn weights and fresh adapters, on the chosen device.
pub(crate) fn drawn_model(config: &Config, data: &PreparedData, chosen: &Chosen) -> anyhow::Result<LanguageModel> {
    let model = unadapted_model(config, data, chosen);
    Ok(match &config.adapter {
        Some(adapter) => model.adapted(adapter, config.seed).map_err(PartsError::from)?,
        None => model,
    })
}

fn unadapted_model(config: &Config, data: &PreparedData, chosen: &Chosen) -> LanguageModel {
    config.model.init(data.tokenizer.vocabulary_size(), config.run.context, config.seed, &chosen.device)
}

fn teacher(
    config: &Config,
    data: &PreparedData,
    chosen: &Chosen,
    origins: &mut Origins,
) -> anyhow::Result<Option<Teacher>> {
    let Some(settings) = &config.distillation else { return Ok(None) };
    let saved = open(&settings.teacher, |path| SavedModel::open_to_read(path, Which::Best, &chosen.device))?;
    let lineage = Lineage::of(&saved)?;
    let teacher = Teacher::new(settings, saved, &data.tokenizer, config.run.context)?;
    say(&format!("teacher: {lineage}, temperature {}, weight {}", settings.temperature, settings.weight));
    origins.teacher = Some(lineage);
    Ok(Some(teacher))
}

/// Opens a model by its path, or by its name among the runs, and shows what there is to warn of.
fn open<E>(path: &Path, open: impl FnOnce(&Path) -> Result<SavedModel, E>) -> anyhow::Result<SavedModel>
where
    anyhow::Error: From<E>,
{
    let saved = open(&RunsArguments::default().find(path)?)?;
    if let Some(warning) = &saved.warning {
        say(&format!("warning: {warning}"));
    }
    Ok(saved)
}

/// So many names are shown, more are counted.
const SHOWN: usize = 4;

fn report_start(report: &WarmStart) {
    let WarmStart { taken, numbers, left, new, vocabulary, grown_from, rotated } = report;
    say(&format!("taken: {} parameters, {} numbers", grouped(taken.len() as u64), grouped(*numbers)));
    if let Some(before) = grown_from {
        say(&format!("grown: from {} numbers, computing the same", grouped(*before)));
    }
    rotated.iter().for_each(|difference| say(&format!("rotated otherwise: {difference}")));
    for (what, paths) in [("left", left), ("new", new)] {
        if !paths.is_empty() {
            say(&format!("{what}: {}", names(paths)));
        }
    }
    if let Some(vocabulary) = vocabulary {
        say(&format!(
            "vocabulary: {} tokens of the start model by their text, {} new at the mean of its tokens, {} of its \
             rows left",
            grouped(vocabulary.known as u64),
            grouped(vocabulary.others as u64),
            grouped(vocabulary.left as u64)
        ));
    }
}

fn names(paths: &[String]) -> String {
    if paths.len() > SHOWN { format!("{} parameters", grouped(paths.len() as u64)) } else { paths.join(", ") }
}

/// The model and the tokenizer of the start model as settings, for a configuration that says from what to start and
/// not with which model or tokenizer.
///
/// # Errors
/// When that model cannot be looked at.
pub(crate) fn of_start(file: &Path, source: &Source, overrides: &[Override]) -> anyhow::Result<Vec<Override>> {
    // What is no TOML is said where the configuration is read.
    let table = source.text.parse::<Table>().unwrap_or_default();
    let Some((from, is_typed)) = start_of(&table, overrides) else { return Ok(Vec::new()) };
    let has = |section: &str| {
        let is_of_section = |set: &Override| set.key.split('.').next() == Some(section);
        table.contains_key(section) || overrides.iter().any(is_of_section)
    };
    let (needs_model, needs_tokenizer) = (!has("model"), !has("tokenizer"));
    if !needs_model && !needs_tokenizer {
        return Ok(Vec::new());
    }
    let beside = file.parent().map(|folder| folder.join(&from)).filter(|path| !is_typed && path.exists());
    let path = RunsArguments::default().find(&beside.unwrap_or(from))?;
    let setting =
        |key: &str, value: &Value| Override { name: "--set".to_owned(), key: key.to_owned(), value: value.to_string() };
    let mut settings = Vec::new();
    if needs_model && let Value::Table(choice) = Value::try_from(config_of(&path, Which::Best)?)? {
        settings.extend(choice.iter().map(|(name, values)| setting(&format!("model.{name}"), values)));
    }
    if needs_tokenizer {
        settings.push(setting("tokenizer.file.path", &Value::String(path.display().to_string())));
    }
    Ok(settings)
}

/// What a configuration starts from, and whether that was typed.
fn start_of(table: &Table, overrides: &[Override]) -> Option<(PathBuf, bool)> {
    if let Some(set) = overrides.iter().rev().find(|set| set.key == "start.from") {
        return Some((set.value.trim_matches('"').into(), true));
    }
    let from = table.get("start")?.get("from")?.as_str()?;
    Some((from.into(), false))
}

/// Names models by where they are, so that the run's own configuration finds them wherever it was started.
pub(crate) fn look_among_runs(config: &mut Config) {
    let start = config.start.as_mut().map(|start| &mut start.from);
    let teacher = config.distillation.as_mut().map(|distillation| &mut distillation.teacher);
    let tokenizer = match &mut config.tokenizer {
        TokenizerConfig::File(file) if !file.path.exists() => Some(&mut file.path),
        _ => None,
    };
    for path in [start, teacher, tokenizer].into_iter().flatten() {
        if let Ok(found) = RunsArguments::default().find(path) {
            *path = found;
        }
    }
}
