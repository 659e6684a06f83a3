//! What a model is worth in one form: how well it predicts, how large it is, and how fast it writes.

use std::path::{Path, PathBuf};

use anyhow::Context;
use burn::module::Module;
use burn::tensor::Device;
use kiln_compression::{CompressConfig, CompressionError, compress};
use kiln_data::batches::EvaluationPlan;
use kiln_data::shards::TokenFile;
use kiln_models::LanguageModel;
use kiln_models::saved::{ModelDescription, SavedModel, write_model};
use kiln_storage::Which;
use kiln_storage::layout::WEIGHTS_FILE;
use kiln_training::comparison::{Comparison, compare};
use kiln_training::config::Config;
use serde::Serialize;

use super::config::ReportedModel;
use super::subjects::Subject;
use crate::commands::bench::{median, prompts, time_writing};
use crate::commands::compress::calibrating;
use crate::exit::UsageError;
use crate::piped::Spooled;
use crate::runs::config_of;
use crate::training_data;

/// Windows that are read side by side where no run says how many.
const ROWS: usize = 8;
/// Logits that are in memory at once, at most, for each of the two models.
const LOGITS: usize = 1 << 25;
/// Tokens of a prompt and of what is written behind it, at most.
const WRITTEN: u64 = 64;

/// A form of a model.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) model: String,
    pub(super) variant: String,
    /// What was done.
    pub(super) steps: Vec<String>,
    /// Why there is no such form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) problem: Option<String>,
    #[serde(flatten)]
    pub(super) measured: Option<Measured>,
}

/// What was measured of it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Measured {
    #[serde(flatten)]
    pub(super) comparison: Comparison,
    /// Of the matrices that a token is multiplied with.
    pub(super) bytes_a_token: u64,
    /// Of the file of weights.
    pub(super) file_bytes: u64,
    /// Of all weights in memory.
    pub(super) memory_bytes: u64,
    pub(super) tokens_per_second: f64,
    /// Whether no other form has a lower loss and a smaller file, or one of both and as much of the other.
    pub(super) is_on_front_of_size: bool,
    /// The same of loss and speed.
    pub(super) is_on_front_of_speed: bool,
}

/// A model with the text that it is measured on.
pub(super) struct Laboratory {
    model: ReportedModel,
    /// As it was, to be made smaller: its matrices are parameters.
    saved: SavedModel,
    parameters: LanguageModel,
    description: ModelDescription,
    /// As it was, as it is written with.
    original: SavedModel,
    original_bytes: u64,
    run: Option<Config>,
    text: TokenFile,
    plan: EvaluationPlan,
    rounds: u64,
    _spooled: Option<Spooled>,
}

/// Asks whether to go on.
pub(super) type Proceed<'a> = &'a dyn Fn() -> bool;

impl Laboratory {
    /// Opens the model and its text.
    ///
    /// # Errors
    /// One of them cannot be opened, or there is no text.
    pub(super) fn open(subject: Subject, rounds: u64) -> anyhow::Result<Self> {
        let Subject { model, path, .. } = subject;
        let saved = SavedModel::open(&path, Which::Best, &Device::flex())?;
        crate::runs::refuse_pairs(&saved, "compress --report")?;
        let original = SavedModel::open_to_read(&path, Which::Best, &Device::flex())?;
        let run = config_of(&saved)?;
        let (text, spooled) = text(&model, &saved, run.as_ref())?;
        let plan = plan(&model, &saved, run.as_ref(), &text)?;
        let original_bytes = bytes_of_file(&path, &saved)?;
        let (parameters, description) = (saved.model.clone(), saved.description.clone());
        Ok(Self {
            model,
            saved,
            parameters,
            description,
            original,
            original_bytes,
            run,
            text,
            plan,
            rounds,
            _spooled: spooled,
        })
    }

    /// The model as it is; nothing where it was stopped.
    ///
    /// # Errors
    /// The text cannot be read, or the device fails.
    pub(super) fn original(&self, proceed: Proceed<'_>) -> anyhow::Result<Option<Row>> {
        let measured = self.measure(&self.original, self.original_bytes, proceed)?;
        let steps = self.description.compressed.clone();
        Ok(measured.map(|measured| self.row("original".to_owned(), steps, Ok(measured))))
    }

    /// A variant of it; nothing where it was stopped.
    ///
    /// # Errors
    /// As [`Laboratory::original`]. What doesn't fit the model is no error but a row that says so.
    pub(super) fn variant(&mut self, config: &CompressConfig, proceed: Proceed<'_>) -> anyhow::Result<Option<Row>> {
        let config = CompressConfig {
            calibration: config.calibration.clone().or(self.model.calibration.clone()),
            ..config.clone()
        };
        let calibration = match calibrating::read(&self.saved, self.run.as_ref(), &config) {
            Ok(calibration) => calibration,
            Err(error) => return Ok(Some(self.row(config.name(), config.words(), Err(format!("{error:#}"))))),
        };
        self.saved.model = self.parameters.clone();
        self.saved.description = self.description.clone();
        let (description, context) = (&mut self.saved.description.model, self.description.context);
        let done = compress(&mut self.saved.model, description, context, &config, &calibration, &mut |_| proceed());
        match done {
            Ok(_) => {}
            Err(CompressionError::Stopped) => return Ok(None),
            Err(error @ CompressionError::NoCalibration { .. }) => {
                let words = format!("{error}; {}", calibrating::NO_TEXT);
                return Ok(Some(self.row(config.name(), config.words(), Err(words))));
            }
            Err(error) => return Ok(Some(self.row(config.name(), config.words(), Err(error.to_string())))),
        }
        self.saved.description.compressed.extend(config.words());
        // Measured is what a file of it gives, as everybody would read with it.
        let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
        write_model(&self.saved, folder.path())?;
        let bytes = file_length(&folder.path().join(WEIGHTS_FILE))?;
        let written = SavedModel::open_to_read(folder.path(), Which::Best, &Device::flex())?;
        let measured = self.measure(&written, bytes, proceed)?;
        Ok(measured.map(|measured| self.row(config.name(), written.description.compressed, Ok(measured))))
    }

    fn row(&self, variant: String, steps: Vec<String>, measured: Result<Measured, String>) -> Row {
        let (measured, problem) = match measured {
            Ok(measured) => (Some(measured), None),
            Err(problem) => (None, Some(problem)),
        };
        Row { model: self.model.name.clone(), variant, steps, problem, measured }
    }

    fn measure(&self, form: &SavedModel, file_bytes: u64, proceed: Proceed<'_>) -> anyhow::Result<Option<Measured>> {
        let (first, second) = (&self.original.model, &form.model);
        let Some(comparison) = compare(first, second, &self.text, &self.plan, &mut |_| proceed())? else {
            return Ok(None);
        };
        let prompt = (self.description.context as u64 / 2).clamp(1, WRITTEN);
        let tokens = (self.description.context as u64).saturating_sub(prompt).clamp(1, WRITTEN);
        let prompts = prompts(&form.tokenizer, prompt, 1);
        // One that is not timed, then the others.
        let mut seconds = Vec::new();
        for _ in 0..=self.rounds {
            let (_, of_token) = time_writing(&form.model, &form.tokenizer, &prompts, tokens)?;
            seconds.push(of_token);
        }
        Ok(Some(Measured {
            comparison,
            bytes_a_token: form.model.bytes_of_matrices() as u64,
            file_bytes,
            memory_bytes: memory_of(&form.model),
            tokens_per_second: 1.0 / median(&seconds[1..]),
            is_on_front_of_size: false,
            is_on_front_of_speed: false,
        }))
    }
}

/// Marks the forms of one model that no other is better than.
pub(super) fn mark_fronts(rows: &mut [Row]) {
    let measured: Vec<Measured> = rows.iter().filter_map(|row| row.measured.clone()).collect();
    let is_on_front = |own: &Measured, cost: fn(&Measured) -> f64| {
        let [own_loss, own_cost] = [own.comparison.loss.mean, cost(own)];
        !measured.iter().any(|other| {
            let [loss, cost] = [other.comparison.loss.mean, cost(other)];
            loss <= own_loss && cost <= own_cost && (loss < own_loss || cost < own_cost)
        })
    };
    for own in rows.iter_mut().filter_map(|row| row.measured.as_mut()) {
        own.is_on_front_of_size = is_on_front(own, |measured| measured.file_bytes as f64);
        own.is_on_front_of_speed = is_on_front(own, |measured| -measured.tokens_per_second);
    }
}

/// The text that is measured on.
fn text(
    model: &ReportedModel,
    saved: &SavedModel,
    run: Option<&Config>,
) -> anyhow::Result<(TokenFile, Option<Spooled>)> {
    match (&model.text, run) {
        (Some(path), _) => {
            let separator = run.and_then(|run| run.data.separator.as_deref());
            let (file, spooled) = training_data::tokenize_file(Path::new(path), separator, &saved.tokenizer)?;
            let resets_at = run.and_then(|run| run.run.resets_at(&saved.tokenizer));
            Ok((file.resetting_at(resets_at).behind(&saved.start), spooled))
        }
        (None, Some(run)) => Ok((training_data::validation_split(&saved.run, run, &saved.tokenizer)?.0, None)),
        (None, None) => {
            let words =
                format!("`{}` comes without a run; name a text to measure on: `text = \"book.txt\"`", model.name);
            Err(UsageError(words).into())
        }
    }
}

/// How the text is read: as `kiln eval` reads it, or as far as the report says.
fn plan(
    model: &ReportedModel,
    saved: &SavedModel,
    run: Option<&Config>,
    text: &TokenFile,
) -> anyhow::Result<EvaluationPlan> {
    let context = model.context.map_or(saved.description.context, |context| context as usize);
    if let Some(limit) = saved.model.longest_window().filter(|limit| *limit < context) {
        return Err(UsageError(format!("`{}` reads at most {limit} tokens, not {context}", model.name)).into());
    }
    let carries = saved.model.carries_state_between_windows();
    let carries = run.map_or(carries, |run| run.run.carries_state(&saved.model));
    let rows = run.map_or(ROWS, |run| run.run.batch);
    // Streams that carry their state are read as the run reads them.
    let fits = (LOGITS / (context * saved.description.vocabulary_size).max(1)).max(1);
    let rows = if carries { rows } else { rows.min(fits) };
    let all = text.len().saturating_sub(1);
    Ok(match model.tokens.filter(|tokens| *tokens < all) {
        Some(tokens) => EvaluationPlan::new(text, tokens as f64 / all as f64, rows, context, carries)?,
        None => EvaluationPlan::of_text(text, rows, context, carries)?,
    })
}

/// Bytes of the weights as they were found.
fn bytes_of_file(path: &Path, saved: &SavedModel) -> anyhow::Result<u64> {
    let weights = saved.folder.join(WEIGHTS_FILE);
    if path.is_file() {
        return file_length(path);
    }
    if weights.exists() {
        return file_length(&weights);
    }
    let is_of_weights =
        |path: &PathBuf| path.extension().is_some_and(|ending| ending == "safetensors" || ending == "bin");
    let entries = std::fs::read_dir(path).with_context(|| format!("cannot list `{}`", path.display()))?;
    entries.flatten().map(|entry| entry.path()).filter(is_of_weights).map(|path| file_length(&path)).sum()
}

fn file_length(path: &Path) -> anyhow::Result<u64> {
    Ok(std::fs::metadata(path).with_context(|| format!("cannot read `{}`", path.display()))?.len())
}

/// Bytes of all weights: packed matrices, and parameters in single precision.
fn memory_of(model: &LanguageModel) -> u64 {
    let mut model = model.clone();
    let parameters = model.num_params() * size_of::<f32>();
    let packed =
        model.matrices().iter().filter(|matrix| matrix.packed().is_some()).map(|matrix| matrix.bytes()).sum::<usize>();
    (parameters + packed) as u64
}
