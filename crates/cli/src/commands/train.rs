//! `kiln train CONFIG`: trains, and resumes a run that stopped. `kiln resume RUN`: resumes it wherever it is.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use burn::module::Module;
use burn::train::Interrupter;
use clap::Args;
use kiln_data::batches::{PairIndex, PairOrder};
use kiln_data::shards::{EntropyFloor, Fitting, PreparedData, TokenFile};
use kiln_models::LanguageModel;
use kiln_settings::Override;
use kiln_storage::layout::{self, METRICS_FILE};
use kiln_storage::steps;
use kiln_training::config::Config;
use kiln_training::learning::{self, Outcome, Session, Stop, TrainError};
use kiln_training::misleading::{TextNumbers, copied, misleading, unreadable_prompts};
use kiln_training::run::{Metrics, References, RunFolder};

use super::new;
use crate::arguments::{ConfigArguments, DeviceArguments, NoInput, RunsArguments, is_text, overriding};
use crate::beginnings::Beginning;
use crate::commands::resume_sweep;
use crate::device::Chosen;
use crate::exit::{Exit, UsageError};
use crate::runs;
use crate::screen::{Facts, State};
use crate::signals::{self, Received};
use crate::terminal::{progress_bar, say};
use crate::training_data;
use crate::training_display::{Progress, TrainingDisplay, duration, floor_words, grouped};
use crate::usage::at_least_one;

const ABOUT_TEXTS: &str = "\
CONFIG may be a text to train on for about 5 minutes: a file that neither ends in `.toml` nor is TOML. Its \
configuration is chosen as by `kiln new`, and written beside the run, as `runs/NAME.toml` for `runs/NAME`.";

/// Arguments of `kiln train`.
#[derive(Debug, Args)]
#[command(after_help = ABOUT_TEXTS)]
pub(crate) struct TrainArguments {
    #[command(flatten)]
    config: ConfigArguments,

    #[command(flatten)]
    training: TrainingArguments,

    #[command(flatten)]
    runs: RunsArguments,

    /// Name of the run, a folder among the runs [default: the configuration file's name, numbered if it is taken]
    #[arg(long, value_name = "NAME")]
    run: Option<String>,

    /// Resume the run where it stopped; start it if there is none
    #[arg(long)]
    resume: bool,
}

/// Arguments of `kiln resume`.
#[derive(Debug, Args)]
pub(crate) struct ResumeArguments {
    /// The run, sweep or race, by its folder, wherever that is now, or by its name among the runs
    run: PathBuf,

    /// Change a key of the run's configuration that may change, for example `--set run.steps=2000`; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = overriding)]
    overrides: Vec<Override>,

    #[command(flatten)]
    training: TrainingArguments,

    #[command(flatten)]
    runs: RunsArguments,
}

/// What is asked of training whether it starts or resumes.
#[derive(Debug, Args)]
struct TrainingArguments {
    #[command(flatten)]
    device: DeviceArguments,

    /// Save and stop after this step, as a signal would
    #[arg(long, value_name = "STEP", value_parser = at_least_one())]
    stop_after: Option<u64>,

    /// How to show progress
    #[arg(long, value_enum, default_value_t)]
    progress: Progress,
}

/// `kiln train`.
pub(crate) fn train(arguments: &TrainArguments) -> anyhow::Result<Exit> {
    runs::refuse_run_as_config(&arguments.config.config, &arguments.runs)?;
    if is_text(&arguments.config.config) {
        return train_on(&arguments.config.config, arguments);
    }
    NoInput::check(&arguments.config.config)?;
    let config = arguments.config.open()?;
    let folder = arguments.runs.folder();
    let path = runs::run_path(&folder, &arguments.config.config, arguments.run.as_deref(), arguments.resume)?;
    run(&config, &path, arguments.resume, &arguments.training, None)
}

/// `kiln train book.txt`: writes a configuration for a text, and trains with it.
fn train_on(text: &Path, arguments: &TrainArguments) -> anyhow::Result<Exit> {
    if arguments.resume {
        let words = "is a text, not a configuration; `kiln resume RUN` resumes a run without one";
        return Err(UsageError(format!("--resume: {} {words}", text.display())).into());
    }
    let path = runs::new_path(&arguments.runs.folder(), text, arguments.run.as_deref())?;
    new::check_settings(&arguments.config.overrides)?;
    let chosen = arguments.training.device.open()?;
    let file = runs::config_beside(&path);
    new::write_for(&file, text, &chosen)?;
    let config = Config::open(&file, &arguments.config.overrides)?;
    run(&config, &path, false, &arguments.training, Some(chosen))
}

/// `kiln resume`.
pub(crate) fn resume(arguments: &ResumeArguments) -> anyhow::Result<Exit> {
    let path = arguments.runs.find(&arguments.run)?;
    if layout::is_sweep(&path) {
        if arguments.training.stop_after.is_some() {
            let words = "is a sweep, whose runs differ in how far they are; resume it without --stop-after";
            return Err(UsageError(format!("{} {words}", path.display())).into());
        }
        return resume_sweep(&path, &arguments.overrides, &arguments.training.device);
    }
    runs::make_sure_of_a_run(&path)?;
    let config = runs::own_config(&path, &arguments.overrides)?;
    run(&config, &path, true, &arguments.training, None)
}

/// Trains a run of a configuration to its end where there is none, or resumes it.
///
/// # Errors
/// As `kiln train --resume`.
pub(crate) fn train_to_end(config: &Config, path: &Path, device: &DeviceArguments) -> anyhow::Result<Exit> {
    let training = TrainingArguments { device: device.clone(), stop_after: None, progress: Progress::default() };
    run(config, path, path.exists(), &training, None)
}

/// Trains a run to its end or until it is stopped, on a device that may be open already.
fn run(
    config: &Config,
    run_path: &Path,
    resume: bool,
    arguments: &TrainingArguments,
    opened: Option<Chosen>,
) -> anyhow::Result<Exit> {
    let started = Instant::now();
    RunFolder::refuse_second_trainer(run_path)?;
    let changes = runs::changes(run_path, resume, config)?;
    let chosen = opened.map_or_else(|| arguments.device.open(), Ok)?;
    let mut data = match resume {
        true => training_data::prepare_again(run_path, run_path, config)?,
        false => training_data::prepare(config)?,
    };
    // The floor is that of the whole validation split: a loss on a part of it is not comparable.
    let floor = data.floor.filter(|_| config.run.evaluate_fraction == 1.0);
    runs::check_memory(config, &data, &chosen)?;
    if resume && steps(run_path)?.is_empty() {
        say(&format!("warning: `{}` has no checkpoint to resume from; training starts anew", run_path.display()));
    }
    let Beginning { model, teacher, origins } = Beginning::of_run(run_path, resume, config, &data, &chosen)?;
    let references = references(config, run_path, &data, model.as_ref())?;
    let (folder, resumed) = runs::open_run(run_path, resume, config, changes, &data, &chosen, &origins)?;
    if let Some(references) = references {
        references.write(run_path)?;
        let splits = [data.train.clone(), data.validation.clone()];
        [data.train, data.validation] = references.put(splits, config.run.context, run_path)?;
    }
    let resumed_at = resumed.as_ref().map(|(_, checkpoint)| checkpoint.state.step);
    let model = resumed.as_ref().map(|(model, _)| model.clone()).or(model);
    let model = model.context("the checkpoints of the run are gone")?;
    // Now instead of at each sample.
    for warning in unreadable_prompts(config, &data.tokenizer) {
        say(&format!("warning: {warning}"));
    }
    if resumed.is_none() {
        warn_of_what_misleads(config, &data)?;
    }
    let interrupter = Interrupter::new();
    let received = signals::watch(interrupter.clone())?;
    describe(config, &data, &model, run_path)?;

    let state = known(config, &data, &model, run_path, resumed_at, &chosen)?;
    let (renderer, observer, closing) = TrainingDisplay::new(arguments.progress, state, &data, floor, &interrupter)?;
    let session = Session {
        config,
        model,
        teacher,
        train: data.train.clone(),
        validation: data.validation.clone(),
        folder,
        schedule: None,
        resume: resumed.map(|(_, checkpoint)| checkpoint),
        observer: Box::new(observer),
        stop_after: arguments.stop_after,
    };
    let outcome = learning::train(session, renderer, interrupter);
    closing.say();
    let outcome = outcome.inspect_err(|_| {
        if steps(run_path).is_ok_and(|steps| !steps.is_empty()) {
            say(&runs::resume_words(run_path, &chosen.name));
        }
    })?;
    let (seconds, converses) = (started.elapsed().as_secs_f64(), data.conversations.is_some());
    let end = End {
        run: run_path,
        device: &chosen.name,
        translates: config.model.reads_pairs(),
        resumed_at,
        seconds,
        converses,
    };
    Ok(end.say(&outcome, floor, &received))
}

/// Where preferences are learned: their log-probabilities under the start model, computed before the first update.
fn references(
    config: &Config,
    run: &Path,
    data: &PreparedData,
    model: Option<&LanguageModel>,
) -> anyhow::Result<Option<References>> {
    if config.preference.is_none() {
        return Ok(None);
    }
    let Some(model) = model else { return Ok(Some(References::read(run)?)) };
    runs::check_lengths(config, data)?;
    let bar = progress_bar(100, "[{bar:30}] {human_pos} % of the answers read by the start model, {eta} left");
    let splits = [&data.train, &data.validation];
    let found = References::of(model, splits, config.run.context, &mut |done| bar.set_position((100.0 * done) as u64));
    bar.finish_and_clear();
    Ok(Some(found?))
}

/// The last words of a run: what came out and what to type next.
struct End<'a> {
    run: &'a Path,
    device: &'a str,
    /// Whether its model reads a source.
    translates: bool,
    /// The step that it was resumed after, if it was.
    resumed_at: Option<u64>,
    seconds: f64,
    /// Whether it learned from conversations.
    converses: bool,
}

impl End<'_> {
    fn say(&self, outcome: &Outcome, floor: Option<EntropyFloor>, received: &Received) -> Exit {
        let run = self.run.display();
        let reason = match &outcome.stop {
            Stop::Done | Stop::Early => {
                self.say_done(outcome, floor);
                return Exit::Done;
            }
            Stop::AfterStep => Some("--stop-after"),
            Stop::Interrupted(reason) => reason.as_deref(),
        };
        let by = reason.map_or_else(String::new, |reason| format!(" by {reason}"));
        say(&format!("stopped{by} after step {}; saved in {run}", outcome.step));
        say(&runs::resume_words(self.run, self.device));
        received.exit()
    }

    fn say_done(&self, outcome: &Outcome, floor: Option<EntropyFloor>) {
        let run = runs::quoted(&self.run.to_string_lossy());
        if outcome.stop == Stop::Early {
            say("ended early: the validation loss did not become better for `run.patience` evaluations");
        }
        let step = outcome.step;
        if self.resumed_at == Some(step) {
            say(&format!("there was nothing left to do: all {step} steps had been made"));
            say(&format!("train on:         kiln resume {run} --set run.steps={}", step.saturating_mul(2)));
        } else {
            let [time, saving] = [self.seconds, outcome.saving.as_secs_f64()].map(precise);
            let steps = match self.resumed_at {
                Some(resumed_at) => format!("steps {} to {step}", resumed_at + 1),
                None => format!("{step} steps"),
            };
            say(&format!("done: {steps} in {time}; saving took {saving}"));
        }
        if let Some(evaluation) = &outcome.evaluation {
            let mut line = format!(
                "validation loss {:.4} nats/token, perplexity {:.2}, {:.4} bits/byte",
                evaluation.loss, evaluation.perplexity, evaluation.bits_per_byte
            );
            if let Some(floor) = floor {
                line.push_str(&format!("\n{}", floor_words(evaluation.nats_per_character, &floor)));
            }
            say(&line);
            self.say_best(evaluation.loss);
        }
        let (verb, words) = match (self.translates, self.converses) {
            (true, _) => ("translate", "translate:       "),
            (false, true) => ("chat", "talk to it:      "),
            (false, false) => ("sample", "sample from it:  "),
        };
        say(&format!("{words} kiln {verb} {run}"));
        say(&format!("evaluate it:      kiln eval {run}"));
    }
}

impl End<'_> {
    /// The best evaluation where it isn't the last: `kiln sample` and `kiln eval` take its checkpoint.
    fn say_best(&self, last: f64) {
        let Ok(metrics) = Metrics::read(&self.run.join(METRICS_FILE)) else { return };
        let best = metrics.evaluations.iter().min_by(|left, right| left.valid_loss.total_cmp(&right.valid_loss));
        if let Some(best) = best.filter(|best| best.valid_loss < last) {
            let (loss, step) = (best.valid_loss, best.step);
            say(&format!("best was {loss:.4} after step {step}, whose checkpoint the commands below take"));
        }
    }
}

/// A time, below ten seconds with its hundredths: a part of it must not look longer than all of it.
fn precise(seconds: f64) -> String {
    if seconds < 10.0 { format!("{seconds:.2} s") } else { duration(seconds) }
}

/// What is known of a run before training begins: what is trained, on what, and what was logged before it was resumed.
fn known(
    config: &Config,
    data: &PreparedData,
    model: &LanguageModel,
    run: &Path,
    resumed_at: Option<u64>,
    chosen: &Chosen,
) -> anyhow::Result<State> {
    let per_token = data.validation.characters() as f64 / data.validation.len().max(1) as f64;
    let floor = data.floor.filter(|_| config.run.evaluate_fraction == 1.0);
    // Passes are counted in examples where there are some, and those of pairs in batches, which hold different numbers
    // of tokens.
    let (tokens_per_step, training_tokens) = match of_pairs(config, data)? {
        Some(Pairs(order)) => (config.run.accumulate as u64, order.batches_per_epoch()),
        None if data.train.examples().is_some() => {
            ((config.run.batch * config.run.accumulate) as u64, fitting(&data.train, config))
        }
        None => (config.run.tokens_per_step(), data.train.len()),
    };
    let mut state = State::new(Facts {
        run: run.display().to_string(),
        device: chosen.name.clone(),
        model: format!("{}, {} parameters", config.model.name(), grouped(model.num_params() as u64)),
        steps: config.run.steps,
        tokens_per_step,
        training_tokens,
        floor: floor.map(|floor| floor.validation_nats_per_character * per_token),
    });
    if let Some(step) = resumed_at {
        state.recall(&Metrics::read(&run.join(METRICS_FILE))?, step);
    }
    Ok(state)
}

/// Warns of what will make losses mean less than they seem to.
fn warn_of_what_misleads(config: &Config, data: &PreparedData) -> anyhow::Result<()> {
    let numbers = TextNumbers {
        training_tokens: data.train.examples().is_none().then(|| data.train.len()),
        vocabulary: Some(data.tokenizer.vocabulary_size()),
        documents: Some(data.documents),
        separators: Some(data.separators),
    };
    let of_conversations = data.conversations.iter().flat_map(|found| training_data::wrong_lines(&found.wrong));
    let of_conversations = of_conversations.chain(too_long(config, data));
    let copied = copied(config, &training_data::cache_folder()?);
    for warning in misleading(config, &numbers).into_iter().chain(copied).chain(of_conversations) {
        say(&format!("warning: {warning}"));
    }
    Ok(())
}

/// Examples that fit the context, at least 1.
fn fitting(file: &TokenFile, config: &Config) -> u64 {
    file.examples().map_or(1, |examples| examples.fitting(config.run.context).examples.len().max(1) as u64)
}

/// What to say of conversations that are longer than the context.
fn too_long(config: &Config, data: &PreparedData) -> Vec<String> {
    let (context, mut words) = (config.run.context, Vec::new());
    for (split, file) in [("training", &data.train), ("validation", &data.validation)] {
        let Some(examples) = file.examples() else { continue };
        let Fitting { cut, left_out, .. } = examples.fitting(context);
        let (all, what) = (grouped(examples.count()), format!("longer than `run.context`, which is {context}"));
        if left_out > 0 {
            words.push(format!("{} of {all} {split} conversations are left out: they are {what}", grouped(left_out)));
        }
        if cut > 0 {
            words.push(format!("{} of {all} {split} conversations lose their end: they are {what}", grouped(cut)));
        }
    }
    words
}

/// What is about to be trained, in a few lines.
fn describe(config: &Config, data: &PreparedData, model: &LanguageModel, run: &Path) -> anyhow::Result<()> {
    let parameters = model.num_params() as u64;
    say(&format!(
        "model: {}, {} parameters; vocabulary of {} tokens",
        config.model.name(),
        grouped(parameters),
        grouped(data.tokenizer.vocabulary_size() as u64)
    ));
    if let Some(pairs) = &of_pairs(config, data)? {
        pairs.describe(config, data)?;
    } else {
        describe_text(config, data);
    }
    if let Some(floor) = &data.floor {
        say(&format!(
            "the text's exact entropy is {:.4} nats/character; its validation split can be predicted with {:.4} at \
             best",
            floor.nats_per_character, floor.validation_nats_per_character
        ));
    }
    say(&format!("run: {}", run.display()));
    Ok(())
}

/// The training pairs of a run that has some.
fn of_pairs(config: &Config, data: &PreparedData) -> anyhow::Result<Option<Pairs>> {
    if !config.model.reads_pairs() {
        return Ok(None);
    }
    let index = PairIndex::new(&data.train, config.run.context, "training").map_err(TrainError::from)?;
    Ok(Some(Pairs(PairOrder::new(index, config.run.budget(), config.seed))))
}

/// Pairs, and the batches that they make.
struct Pairs(PairOrder);

impl Pairs {
    /// `pairs: 49,000 to train on, 1,000 that validate; 2,500 steps, 12.3 passes over them`, and those that are too
    /// long.
    fn describe(&self, config: &Config, data: &PreparedData) -> anyhow::Result<()> {
        let run = &config.run;
        let validation = PairIndex::new(&data.validation, run.context, "validation").map_err(TrainError::from)?;
        let passes = (run.steps * run.accumulate as u64) as f64 / self.0.batches_per_epoch() as f64;
        say(&format!(
            "pairs: {} to train on, {} that validate; {} steps, {passes:.1} passes over them",
            grouped(self.0.index().len() as u64),
            grouped(validation.len() as u64),
            grouped(run.steps),
        ));
        let too_long = [self.0.index().too_long(), validation.too_long()];
        if too_long != [0, 0] {
            let [training, validation] = too_long.map(grouped);
            say(&format!(
                "warning: {training} training and {validation} validation pairs are left out, one text of which is \
                 longer than `run.context` ({} tokens)",
                run.context
            ));
        }
        Ok(())
    }
}

/// The text and how often it is read.
fn describe_text(config: &Config, data: &PreparedData) {
    let (train, steps) = (data.train.len(), config.run.steps);
    if let Some(found) = &data.conversations {
        let a_step = (config.run.batch * config.run.accumulate) as u64;
        say(&format!(
            "data: {} conversations, {} more for validation; {} tokens of answers to learn from; {} steps of {} \
             conversations ({:.1} passes)",
            grouped(found.train),
            grouped(found.validation),
            grouped(data.train.predicted()),
            grouped(steps),
            grouped(a_step),
            (steps * a_step) as f64 / fitting(&data.train, config) as f64
        ));
        return;
    }
    let tokens = steps * config.run.tokens_per_step();
    say(&format!(
        "data: {} training tokens, {} validation tokens; {} steps of {} tokens ({:.1} passes over the text)",
        grouped(train),
        grouped(data.validation.len()),
        grouped(steps),
        grouped(config.run.tokens_per_step()),
        tokens as f64 / train as f64
    ));
}
