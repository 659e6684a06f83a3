//! `kiln train CONFIG`: trains, and goes on where a run stopped.

use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::Device;
use burn::train::Interrupter;
use kiln_models::LanguageModel;
use kiln_models::saved::{ModelDescription, SavedModel, Which, steps};
use kiln_training::config::Config;
use kiln_training::learning::{self, Outcome, Session, Stop};
use kiln_training::run::{Checkpoint, RunDocuments, RunFolder, RunRecord};
use kiln_training::shards::{EntropyFloor, PreparedData};

use crate::arguments::TrainArguments;
use crate::device::{Chosen, choose};
use crate::exit::{Exit, UsageError};
use crate::signals::{self, Received};
use crate::terminal::say;
use crate::training_data;
use crate::training_display::{duration, floor_words, grouped};

/// `kiln train`.
pub(crate) fn train(arguments: &TrainArguments) -> anyhow::Result<Exit> {
    let started = std::time::Instant::now();
    let config = Config::open(&arguments.config.config, &arguments.config.overrides)?;
    let run_path = run_path(arguments)?;
    let chosen = choose(&arguments.device)?;
    say(&format!("device: {}", chosen.description));
    let data = training_data::prepare(&config)?;
    // The floor is that of the whole validation split: a loss on a part of it is not comparable.
    let floor = data.floor.filter(|_| config.run.evaluate_fraction == 1.0);
    let (folder, resumed) = open_run(arguments, &config, &run_path, &data, &chosen)?;
    let model = match &resumed {
        Some((model, _)) => model.clone(),
        None => {
            // Every backend draws other numbers from a seed; drawn on the CPU, the first weights are the same on all devices.
            let processor = Device::flex();
            processor.seed(config.seed);
            let model = config.model.init(data.tokenizer.vocabulary_size(), config.run.context, &processor);
            model.to_device(&chosen.device)
        }
    };
    describe(&config, &data, &model, &run_path);

    let interrupter = Interrupter::new();
    let received = signals::watch(interrupter.clone())?;
    let (renderer, observer) = arguments.progress.displays(&interrupter, data.tokenizer.clone(), floor);
    let session = Session {
        seed: config.seed,
        model,
        device: chosen.device.clone(),
        run: &config.run,
        optimizer: &config.optimizer,
        schedule: &config.schedule,
        estimates: config.estimates.as_ref(),
        train: data.train.clone(),
        validation: data.validation.clone(),
        folder,
        resume: resumed.map(|(_, checkpoint)| checkpoint),
        observer: Box::new(observer),
        renderer,
        interrupter,
    };
    let outcome = learning::train(session).inspect_err(|_| {
        if steps(&run_path).is_ok_and(|steps| !steps.is_empty()) {
            say(&resume_words(arguments, &chosen.name, &run_path));
        }
    })?;
    let seconds = started.elapsed().as_secs_f64();
    Ok(finish(arguments, &chosen.name, &outcome, floor, &run_path, seconds, &received))
}

/// The last words of a run: what came out and what to type next.
fn finish(
    arguments: &TrainArguments,
    device: &str,
    outcome: &Outcome,
    floor: Option<EntropyFloor>,
    run_path: &Path,
    seconds: f64,
    received: &Received,
) -> Exit {
    let run = run_path.display();
    match &outcome.stop {
        Stop::Done => {
            say(&format!("done: {} steps in {}", outcome.step, duration(seconds)));
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
        Stop::Interrupted(reason) => {
            let by = reason.as_deref().map_or_else(String::new, |reason| format!(" by {reason}"));
            say(&format!("stopped{by} after step {}; saved in {run}", outcome.step));
            say(&resume_words(arguments, device, run_path));
            received.exit()
        }
    }
}

/// The line that goes on with this run, as it would be typed.
fn resume_words(arguments: &TrainArguments, device: &str, run_path: &Path) -> String {
    let mut words = vec!["kiln".to_string(), "train".to_string(), quoted(&arguments.config.config.to_string_lossy())];
    for setting in &arguments.config.overrides {
        words.extend(["--set".to_string(), quoted(&setting.text())]);
    }
    // The device by its own name: `auto` might choose another one the next time.
    words.extend(["--device".to_string(), quoted(device)]);
    let name = run_path.file_name().map_or_else(|| run_path.to_string_lossy(), |name| name.to_string_lossy());
    words.extend(["--run".to_string(), quoted(&name), "--resume".to_string()]);
    format!("go on with it:    {}", words.join(" "))
}

/// The word as a shell would need it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_string()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// The folder of the run: the given name; else the configuration's, with a number if that is taken. With `--resume` it is
/// the newest of those.
fn run_path(arguments: &TrainArguments) -> anyhow::Result<PathBuf> {
    let runs = Path::new("runs");
    if let Some(name) = &arguments.run {
        let plain = !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\\', '\0']);
        if !plain {
            return Err(UsageError(format!(
                "--run {name}: a run's name is the name of a folder in `runs`, without `/`"
            ))
            .into());
        }
        return Ok(runs.join(name));
    }
    let stem = arguments.config.config.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let named = |number: u32| if number == 1 { runs.join(&stem) } else { runs.join(format!("{stem}-{number}")) };
    let free = (1..).find(|number| !named(*number).exists()).unwrap_or(1);
    Ok(named(if arguments.resume && free > 1 { free - 1 } else { free }))
}

/// Opens the folder and, where there is something to go on from, the model and the state of training.
fn open_run(
    arguments: &TrainArguments,
    config: &Config,
    path: &Path,
    data: &PreparedData,
    chosen: &Chosen,
) -> anyhow::Result<(RunFolder, Option<(LanguageModel, Checkpoint)>)> {
    let description = ModelDescription::new(config.model.clone(), &data.tokenizer, config.run.context);
    let folder = RunFolder::open(path, arguments.resume, description.clone())?;
    let Some((checkpoint_folder, checkpoint)) = folder.newest()? else {
        let record = record(config, data, chosen);
        let resolved = config.to_toml();
        folder.write_documents(&RunDocuments { config: &resolved, tokenizer: &data.tokenizer, record: &record })?;
        return Ok((folder, None));
    };
    let saved = SavedModel::open(&checkpoint_folder, Which::Last, &chosen.device)?;
    let same = saved.description.model == description.model
        && saved.description.tokenizer_hash == description.tokenizer_hash
        && saved.description.context == description.context;
    if !same {
        return Err(UsageError(format!(
            "the run {} was started with another model, tokenizer or context than {} has; \
             its own configuration is {}",
            path.display(),
            arguments.config.config.display(),
            path.join("config.toml").display(),
        ))
        .into());
    }
    Ok((folder, Some((saved.model, checkpoint))))
}

fn record(config: &Config, data: &PreparedData, chosen: &Chosen) -> RunRecord {
    RunRecord {
        kiln: env!("CARGO_PKG_VERSION").to_string(),
        burn: "0.22.1".to_string(),
        git_commit: option_env!("KILN_GIT_COMMIT").map(str::to_string),
        device: chosen.description.clone(),
        seed: config.seed,
        tokenizer_hash: hexadecimal(&data.tokenizer.hash()),
        train_text_hash: hexadecimal(&data.train.text_hash()),
        validation_text_hash: hexadecimal(&data.validation.text_hash()),
        entropy: data.floor.map(|floor| floor.nats_per_character),
        validation_floor: data.floor.map(|floor| floor.validation_nats_per_character),
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
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
            "the text's exact entropy is {:.4} nats/character; its validation split can be predicted with {:.4} at best",
            floor.nats_per_character, floor.validation_nats_per_character
        ));
    }
    say(&format!("run: {}", run.display()));
}
