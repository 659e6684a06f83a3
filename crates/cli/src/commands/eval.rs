//! `kiln eval RUN`: the loss of a trained model on a text.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use kiln_data::batches::EvaluationPlan;
use kiln_data::shards::TokenFile;
use kiln_models::LanguageModel;
use kiln_models::saved::SavedModel;
use kiln_settings::ConfigFileError;
use kiln_storage::Which;
use kiln_storage::layout::CONFIG_FILE;
use kiln_training::config::Config;
use kiln_training::evaluation::{Evaluation, evaluate};

use crate::arguments::DeviceArguments;
use crate::exit::Exit;
use crate::terminal::{progress_bar, say};
use crate::training_data;
use crate::training_display::floor_words;

/// Arguments of `kiln eval`.
#[derive(Debug, Args)]
pub(crate) struct EvalArguments {
    /// A run folder, for example runs/quickstart, or a checkpoint in one
    run: PathBuf,

    /// Which checkpoint of the run: best, last, or a number of steps
    #[arg(long, default_value = "best")]
    checkpoint: Which,

    /// A UTF-8 text file to measure on, cut into documents as the text of the run [default: the validation split of the
    /// run]
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,

    #[command(flatten)]
    device: DeviceArguments,

    /// How many windows, or streams where the state is carried, are read side by side [default: the run's `batch`]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=65536))]
    streams: Option<u64>,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// `kiln eval`.
pub(crate) fn eval(arguments: &EvalArguments) -> anyhow::Result<Exit> {
    let chosen = arguments.device.choose()?;
    let saved = SavedModel::open(&arguments.run, arguments.checkpoint, &chosen.device)?;
    if let Some(warning) = &saved.warning {
        say(&format!("warning: {warning}"));
    }
    let config = Config::open(&saved.run.join(CONFIG_FILE), &[]).map_err(|error| match error {
        ConfigFileError::Wrong(_) => anyhow::Error::from(error),
        error => anyhow::anyhow!(
            "the run's own configuration is needed to know its data: {error}; put `{CONFIG_FILE}` back into `{}`",
            saved.run.display()
        ),
    })?;
    let (file, floor) = match &arguments.data {
        Some(path) => (training_data::tokenize_file(path, config.data.separator.as_deref(), &saved.tokenizer)?, None),
        None => training_data::validation_split(&saved.run, &config, &saved.tokenizer)?,
    };
    let carries_state = config.run.carries_state(&saved.model);
    let rows = arguments.streams.map_or(config.run.batch, |streams| streams as usize);
    let plan = EvaluationPlan::of_text(&file, rows, saved.description.context, carries_state)?;
    let evaluation = measure(&saved.model, &file, &plan)?;
    if arguments.json {
        print_json(&evaluation)?;
    } else {
        print_words(&evaluation)?;
        if let Some(floor) = &floor {
            say(&floor_words(evaluation.nats_per_character, floor));
        }
    }
    Ok(Exit::Done)
}

fn measure(model: &LanguageModel, file: &TokenFile, plan: &EvaluationPlan) -> anyhow::Result<Evaluation> {
    let bar = progress_bar(plan.batches(), "[{bar:30}] {pos}/{len} {eta}");
    let evaluation = evaluate(model, file, plan, &mut |done| {
        bar.set_position(done);
        true
    })?;
    bar.finish_and_clear();
    evaluation.context("the evaluation was stopped")
}

fn print_json(evaluation: &Evaluation) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    serde_json::to_writer(&mut stdout, evaluation)?;
    writeln!(stdout)?;
    Ok(())
}

fn print_words(evaluation: &Evaluation) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "loss        {:.6} nats per token", evaluation.loss)?;
    writeln!(stdout, "            {:.6} nats per character", evaluation.nats_per_character)?;
    writeln!(stdout, "            {:.6} bits per byte", evaluation.bits_per_byte)?;
    writeln!(stdout, "perplexity  {:.4}", evaluation.perplexity)?;
    writeln!(stdout, "tokens      {}", evaluation.tokens)?;
    Ok(())
}
