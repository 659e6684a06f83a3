//! `kiln eval RUN`: the loss of a trained model on texts.

mod tasks;
mod words;

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use kiln_data::batches::{EvaluationPlan, PairIndex};
use kiln_data::shards::{EntropyFloor, TokenFile};
use kiln_models::saved::SavedModel;
use kiln_storage::Which;
use kiln_training::config::Config;
use kiln_training::evaluation::{Evaluation, Plan, evaluate, token_losses};
use kiln_training::run::TranslationScores;

use crate::adapters::AdapterArguments;
use crate::arguments::{DeviceArguments, RunsArguments};
use crate::exit::{Exit, UsageError};
use crate::piped::{self, Spooled};
use crate::precision::PrecisionArguments;
use crate::runs::{self, config_for_text, config_of, refuse_no_model};
use crate::terminal::{progress_bar, say};
use crate::training_data;
use crate::training_display::{floor_words, grouped};
use crate::translating;
use crate::usage::whole;
use tasks::TaskArguments;

/// How many windows are read side by side where no configuration says.
const STREAMS: usize = 16;

/// Arguments of `kiln eval`.
#[derive(Debug, Args)]
pub(crate) struct EvalArguments {
    /// A run, by folder or name, for example runs/quickstart; a checkpoint; or a folder with `model.safetensors` and
    /// `tokenizer.json`
    run: PathBuf,

    /// UTF-8 text files of any length to measure on, each on its own; `-` is stdin [default: the validation split of
    /// the run]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Same as FILE; may be repeated
    #[arg(long, value_name = "FILE")]
    data: Vec<PathBuf>,

    #[command(flatten)]
    tasks: TaskArguments,

    #[command(flatten)]
    runs: RunsArguments,

    /// Which checkpoint of the run: best, last, or a number of steps
    #[arg(long, default_value = "best")]
    checkpoint: Which,

    #[command(flatten)]
    device: DeviceArguments,

    #[command(flatten)]
    adapters: AdapterArguments,

    #[command(flatten)]
    precision: PrecisionArguments,

    /// How many windows (or streams, where the state is carried) to read side by side [default: the run's `batch`]
    #[arg(long, value_name = "N", value_parser = whole(1..=65536))]
    streams: Option<u64>,

    /// Print the loss of every token: its place, number, text in quotes and nats, separated by tabs
    #[arg(long, conflicts_with = "json")]
    per_token: bool,

    /// Print one JSON object; for several files one a line, and one for all together; of tasks with every answer
    #[arg(long)]
    json: bool,
}

/// A model with what is known of how it was trained.
struct Judge<'a> {
    saved: &'a SavedModel,
    /// Weights may stand without.
    config: Option<Config>,
    streams: Option<usize>,
}

/// `kiln eval`.
pub(crate) fn eval(arguments: &EvalArguments) -> anyhow::Result<Exit> {
    let tasks = arguments.tasks.read()?;
    let chosen = arguments.device.choose()?;
    let path = arguments.runs.find(&arguments.run)?;
    refuse_no_model(&path, "eval")?;
    let base = arguments.adapters.base(&arguments.runs)?;
    let saved = arguments.precision.open_to_measure(&path, arguments.checkpoint, base.as_deref(), &chosen)?;
    if let Some(warning) = &saved.warning {
        say(&format!("warning: {warning}"));
    }
    if let Some(step) = saved.step {
        // A checkpoint that was given by its folder is no one's best.
        let is_chosen = saved.folder != path && saved.warning.is_none();
        let which = match arguments.checkpoint {
            Which::Best if is_chosen => "the best, ",
            Which::Last if is_chosen => "the last, ",
            _ => "",
        };
        say(&format!("checkpoint: {} ({which}step {step})", saved.folder.display()));
    }
    if let Some(tasks) = tasks {
        runs::refuse_pairs(&saved, "eval --tasks")?;
        return arguments.tasks.measure(&saved, &tasks, arguments.json);
    }
    let files: Vec<&PathBuf> = arguments.files.iter().chain(&arguments.data).collect();
    if saved.description.model.reads_pairs() && (!files.is_empty() || arguments.per_token) {
        let words = "is measured on the validation split of its run alone: it reads pairs, not a text";
        return Err(UsageError(format!("`{}` {words}", path.display())).into());
    }
    let judge = Judge::new(&saved, arguments, !files.is_empty())?;
    if files.iter().filter(|file| file.as_os_str() == "-").count() > 1 {
        return Err(UsageError("`-` stands twice among the files, and stdin can be read only once".into()).into());
    }
    let texts = texts(&judge, &files)?;
    if !saved.start.is_empty() {
        let start = saved.tokenizer.decode(&saved.start);
        say(&format!("each text is read behind `{start}`, as the tokenizer of the model has it"));
    }
    if arguments.per_token {
        if texts.iter().any(|text| text.tokens.examples().is_some()) {
            let words = "--per-token is of texts, and this run validates on conversations; name a text";
            return Err(UsageError(words.into()).into());
        }
        for Text { tokens, .. } in &texts {
            words::print_tokens(tokens, &saved.tokenizer, &judge.token_losses(tokens)?)?;
        }
        return Ok(Exit::Done);
    }
    let mut evaluations = Vec::new();
    for Text { name, tokens, floor, .. } in &texts {
        let evaluation = judge.evaluate(tokens).with_context(|| format!("`{name}` cannot be measured on"))?;
        if files.len() > 1 {
            words::print_row(name, &evaluation, arguments.json, evaluations.is_empty())?;
        } else {
            let translation = judge.translate(tokens)?;
            words::print(&evaluation, translation.as_ref(), arguments.json)?;
        }
        if let (Some(floor), false) = (floor, arguments.json) {
            say(&floor_words(evaluation.nats_per_character, floor));
        }
        evaluations.push((evaluation, tokens.clone()));
    }
    if files.len() > 1 {
        words::print_row("all together", &Evaluation::together(&evaluations), arguments.json, false)?;
    }
    Ok(Exit::Done)
}

/// A text to measure on.
struct Text {
    name: String,
    tokens: TokenFile,
    floor: Option<EntropyFloor>,
    /// What it was read from, where that was a pipe.
    _spooled: Option<Spooled>,
}

/// The files that were named; without any, the validation split of the run.
fn texts(judge: &Judge<'_>, files: &[&PathBuf]) -> anyhow::Result<Vec<Text>> {
    let tokenizer = &judge.saved.tokenizer;
    if files.is_empty() {
        let config = judge.config.as_ref().ok_or_else(|| {
            UsageError("these weights come without the configuration of a run; name a text to measure on".into())
        })?;
        let (file, floor) = training_data::validation_split(&judge.saved.run, config, tokenizer)?;
        return Ok(vec![Text { name: "the validation split".to_owned(), tokens: file, floor, _spooled: None }]);
    }
    let separator = judge.config.as_ref().and_then(|config| config.data.separator.as_deref());
    let resets_at = judge.config.as_ref().and_then(|config| config.run.resets_at(tokenizer));
    let text = |path: &&PathBuf| {
        let (file, spooled) = training_data::tokenize_file(path, separator, tokenizer)?;
        let tokens = file.resetting_at(resets_at).behind(&judge.saved.start);
        Ok(Text { name: piped::name(path), tokens, floor: None, _spooled: spooled })
    };
    files.iter().map(text).collect()
}

impl<'a> Judge<'a> {
    /// Judges texts that are named, or the validation split of the run, for which its configuration is needed.
    fn new(saved: &'a SavedModel, arguments: &EvalArguments, has_files: bool) -> anyhow::Result<Self> {
        let config = if has_files { config_for_text(saved)? } else { config_of(saved)? };
        Ok(Self { saved, config, streams: arguments.streams.map(|streams| streams as usize) })
    }

    fn carries_state(&self) -> bool {
        let model = &self.saved.model;
        self.config.as_ref().map_or(model.carries_state_between_windows(), |config| config.run.carries_state(model))
    }

    /// The plan for a text. One that is shorter than a window is read as one window of its own length.
    fn plan(&self, file: &TokenFile, streams: Option<usize>) -> anyhow::Result<EvaluationPlan> {
        let rows = streams.or_else(|| self.config.as_ref().map(|config| config.run.batch)).unwrap_or(STREAMS);
        Ok(EvaluationPlan::of_text(file, rows, self.saved.description.context, self.carries_state())?)
    }

    fn evaluate(&self, file: &TokenFile) -> anyhow::Result<Evaluation> {
        let plan = match &self.config {
            Some(config) if config.model.reads_pairs() => Plan::of_run(config, file, false)?,
            _ => self.plan(file, self.streams)?.into(),
        };
        let (tokens, batches) = (plan.targets(), plan.batches().max(1));
        let bar = progress_bar(tokens, "[{bar:30}] {human_pos}/{human_len} tokens {eta} left");
        let evaluation = evaluate(&self.saved.model, file, &plan, &mut |done| {
            bar.set_position(tokens * done / batches);
            true
        })?;
        bar.finish_and_clear();
        evaluation.context("the evaluation was stopped")
    }

    /// How near the translations of all sources of the split come to their targets, if the model translates.
    fn translate(&self, file: &TokenFile) -> anyhow::Result<Option<TranslationScores>> {
        let Some(config) = self.config.as_ref().filter(|config| config.model.reads_pairs()) else { return Ok(None) };
        let index = PairIndex::new(file, config.run.context, "validation")?;
        if index.too_long() > 0 {
            let pairs = grouped(index.too_long());
            say(&format!("{pairs} pairs are longer than `run.context` and were left out"));
        }
        let pairs = (0..index.len()).map(|pair| index.pair(pair)).collect::<Result<Vec<_>, _>>()?;
        let bar = progress_bar(pairs.len() as u64, "[{bar:30}] {human_pos}/{human_len} pairs {eta} left");
        let scores = translating::scores(&self.saved.model, &self.saved.tokenizer, &pairs, &mut |done| {
            bar.set_position(done);
            true
        })?;
        bar.finish_and_clear();
        Ok(Some(scores))
    }

    /// The loss of every token but the first, and also of that behind a start.
    fn token_losses(&self, file: &TokenFile) -> anyhow::Result<Vec<f64>> {
        let in_order = if self.carries_state() { Some(1) } else { self.streams };
        let plan = self.plan(file, in_order)?;
        Ok(token_losses(&self.saved.model, file, &plan)?)
    }
}
