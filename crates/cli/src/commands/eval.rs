//! `kiln eval RUN`: the loss of a trained model on a text.

use std::io::Write;

use anyhow::Context;
use indicatif::ProgressBar;
use kiln_data::batches::{EvaluationPlan, Windows};
use kiln_data::shards::TokenFile;
use kiln_models::saved::SavedModel;
use kiln_storage::layout::CONFIG_FILE;
use kiln_training::config::Config;
use kiln_training::evaluation::{Evaluation, evaluate};
use kiln_training::learning::{EvaluationLoader, TrainingModel};

use crate::arguments::EvalArguments;
use crate::device::choose;
use crate::exit::Exit;
use crate::terminal::say;
use crate::training_data;
use crate::training_display::floor_words;

/// `kiln eval`.
pub(crate) fn eval(arguments: &EvalArguments) -> anyhow::Result<Exit> {
    let chosen = choose(&arguments.device)?;
    let saved = SavedModel::open(&arguments.run, arguments.checkpoint, &chosen.device)?;
    if let Some(warning) = &saved.warning {
        say(&format!("warning: {warning}"));
    }
    let config = Config::open(&training_data::run_folder(&saved).join(CONFIG_FILE), &[])
        .context("the run's own configuration is needed to know its data")?;
    let (file, floor) = match &arguments.data {
        Some(path) => (training_data::tokenize_file(path, &saved.tokenizer)?, None),
        None => training_data::validation_split(&config, &saved.tokenizer)?,
    };
    let carries_state = saved.model.is_recurrent() && config.run.windows == Windows::Streams;
    let rows = arguments.streams.map_or(config.run.batch, |streams| streams as usize);
    let plan = EvaluationPlan::new(&file, 1.0, rows, saved.description.context, carries_state)?;
    let evaluation = measure(&TrainingModel { language_model: saved.model }, &file, &plan)?;
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

fn measure(model: &TrainingModel, file: &TokenFile, plan: &EvaluationPlan) -> anyhow::Result<Evaluation> {
    // indicatif hides the bar by itself where stderr is no terminal.
    let bar = ProgressBar::new(plan.batches());
    let loader = EvaluationLoader::new(file.clone(), *plan);
    let evaluation = evaluate(model, &loader, file, &mut |done| {
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
