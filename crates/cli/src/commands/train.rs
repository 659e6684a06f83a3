//! `kiln train CONFIG`: trains, and resumes a run that stopped.

use std::path::Path;

use burn::module::Module;
use burn::train::Interrupter;
use clap::Args;
use kiln_data::shards::{EntropyFloor, PreparedData};
use kiln_models::{LanguageModel, Tokenizer};
use kiln_storage::steps;
use kiln_training::config::{Config, DEFAULT_PROMPT};
use kiln_training::estimate::Estimate;
use kiln_training::learning::{self, Outcome, Session, Stop};
use kiln_training::run::RunFolder;

use crate::arguments::{ConfigArguments, DeviceArguments};
use crate::device::{self, Chosen};
use crate::exit::Exit;
use crate::runs;
use crate::signals::{self, Received};
use crate::terminal::say;
use crate::training_data;
use crate::training_display::{Progress, duration, floor_words, grouped};

/// Arguments of `kiln train`.
#[derive(Debug, Args)]
pub(crate) struct TrainArguments {
    #[command(flatten)]
    config: ConfigArguments,

    #[command(flatten)]
    device: DeviceArguments,

    /// Name of the run, a folder under `runs/` [default: the configuration file's name, numbered if it is taken]
    #[arg(long, value_name = "NAME")]
    run: Option<String>,

    /// Go on where the run stopped, or start it if there is none
    #[arg(long)]
    resume: bool,

    /// Stop and save after this step, as a signal would
    #[arg(long, value_name = "STEP")]
    stop_after: Option<u64>,

    /// How progress is shown
    #[arg(long, value_enum, default_value_t)]
    progress: Progress,
}

/// `kiln train`.
pub(crate) fn train(arguments: &TrainArguments) -> anyhow::Result<Exit> {
    let started = std::time::Instant::now();
    let config = Config::open(&arguments.config.config, &arguments.config.overrides)?;
    let run_path = runs::run_path(&arguments.config.config, arguments.run.as_deref(), arguments.resume)?;
    RunFolder::refuse_second_trainer(&run_path)?;
    let changes = runs::changes(&run_path, arguments.resume, &config)?;
    let chosen = arguments.device.open()?;
    let data = training_data::prepare(&config)?;
    // The floor is that of the whole validation split: a loss on a part of it is not comparable.
    let floor = data.floor.filter(|_| config.run.evaluate_fraction == 1.0);
    warn_of_memory(&config, &data, &chosen);
    if arguments.resume && kiln_storage::steps(&run_path)?.is_empty() {
        say(&format!("warning: `{}` has no checkpoint to resume from; training starts anew", run_path.display()));
    }
    let (folder, resumed) = runs::open_run(&run_path, arguments.resume, &config, changes, &data, &chosen)?;
    let model = match &resumed {
        Some((model, _)) => model.clone(),
        None => runs::first_model(&config, &data, &chosen),
    };
    let began = resumed.as_ref().map_or(0, |(_, checkpoint)| checkpoint.state.step);
    warn_of_prompts(&config, &data.tokenizer);
    let interrupter = Interrupter::new();
    let received = signals::watch(interrupter.clone())?;
    describe(&config, &data, &model, &run_path);

    let (renderer, observer, unsaid) = arguments.progress.displays(&interrupter, data.tokenizer.clone(), floor);
    let session = Session {
        config: &config,
        model,
        train: data.train.clone(),
        validation: data.validation.clone(),
        folder,
        resume: resumed.map(|(_, checkpoint)| checkpoint),
        observer: Box::new(observer),
        stop_after: arguments.stop_after,
    };
    let outcome = learning::train(session, renderer, interrupter);
    unsaid.say();
    let outcome = outcome.inspect_err(|_| {
        if steps(&run_path).is_ok_and(|steps| !steps.is_empty()) {
            say(&resume_words(arguments, &chosen.name, &run_path));
        }
    })?;
    let seconds = started.elapsed().as_secs_f64();
    let end = End { outcome: &outcome, began, floor, seconds };
    Ok(finish(arguments, &chosen.name, &end, &run_path, &received))
}

/// How a run ended.
struct End<'a> {
    outcome: &'a Outcome,
    /// The step that it was resumed after; 0 at a start.
    began: u64,
    floor: Option<EntropyFloor>,
    seconds: f64,
}

/// The last words of a run: what came out and what to type next.
fn finish(arguments: &TrainArguments, device: &str, end: &End<'_>, run_path: &Path, received: &Received) -> Exit {
    let End { outcome, began, floor, seconds } = *end;
    let run = runs::quoted(&run_path.to_string_lossy());
    match &outcome.stop {
        Stop::Done | Stop::Early => {
            if outcome.stop == Stop::Early {
                say("ended early: the validation loss did not become better for `run.patience` evaluations");
            }
            let (time, saving) = (duration(seconds), outcome.saving.as_secs_f64());
            match began {
                0 => say(&format!(
                    "done: {} steps in {time}, of which {saving:.2} s stood still for saving",
                    outcome.step
                )),
                began if began == outcome.step => say(&format!(
                    "done already: all {began} steps were made before; `--set run.steps=N` with more goes on"
                )),
                began => say(&format!(
                    "done: steps {} to {} in {time}, of which {saving:.2} s stood still for saving",
                    began + 1,
                    outcome.step
                )),
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
            }
            say(&format!("sample from it:   kiln sample {run}"));
            say(&format!("evaluate it:      kiln eval {run}"));
            Exit::Done
        }
        Stop::Interrupted(_) | Stop::AfterStep => {
            let reason = match &outcome.stop {
                Stop::AfterStep => Some("--stop-after"),
                // The dashboard gives a sentence of its own.
                Stop::Interrupted(reason) => reason.as_deref().filter(|reason| !reason.contains(' ')),
                Stop::Done | Stop::Early => None,
            };
            let by = reason.map_or_else(String::new, |reason| format!(" by {reason}"));
            say(&format!("stopped{by} after step {}; saved in {}", outcome.step, run_path.display()));
            say(&resume_words(arguments, device, run_path));
            received.exit()
        }
    }
}

/// The line that resumes this run.
fn resume_words(arguments: &TrainArguments, device: &str, run: &Path) -> String {
    runs::resume_words("train", &arguments.config.config, &arguments.config.overrides, device, run)
}

/// Warns where the processor's memory is less than what training needs: the system ends a process that takes too much.
fn warn_of_memory(config: &Config, data: &PreparedData, chosen: &Chosen) {
    if chosen.name == "cpu" || chosen.name == "ndarray" {
        let needed = Estimate::new(config, data.tokenizer.vocabulary_size()).memory.total();
        if let Some(warning) = device::too_little_memory(needed) {
            say(&format!("warning: {warning}"));
        }
    }
}

/// Warns of prompts that no sample can begin with, now instead of at each sample.
fn warn_of_prompts(config: &Config, tokenizer: &Tokenizer) {
    if config.run.sample_every.is_none() {
        return;
    }
    for prompt in &config.run.prompts {
        if let Err(error) = tokenizer.encode(prompt)
            && prompt != DEFAULT_PROMPT
        {
            say(&format!("warning: there will be no samples after the prompt {prompt:?} of `run.prompts`: {error}"));
        }
    }
}

/// What is about to be trained, in a few lines.
fn describe(config: &Config, data: &PreparedData, model: &LanguageModel, run: &Path) {
    let parameters = model.num_params() as u64;
    say(&format!(
        "model: {}, {} parameters; vocabulary of {} tokens",
        config.model.name(),
        grouped(parameters),
        grouped(data.tokenizer.vocabulary_size() as u64)
    ));
    let (train, steps) = (data.train.len(), config.run.steps);
    let tokens = steps * config.run.tokens_per_step();
    say(&format!(
        "data: {} training tokens, {} validation tokens; {} steps of {} tokens ({:.1} epochs)",
        grouped(train),
        grouped(data.validation.len()),
        grouped(steps),
        grouped(config.run.tokens_per_step()),
        tokens as f64 / train as f64
    ));
    if let Some(floor) = &data.floor {
        say(&format!(
            "the text's exact entropy is {:.4} nats/character; its validation split can be predicted with {:.4} at \
             best",
            floor.nats_per_character, floor.validation_nats_per_character
        ));
    }
    say(&format!("run: {}", run.display()));
}
