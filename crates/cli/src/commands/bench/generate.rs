//! `kiln bench generate MODEL`: how long reading a prompt and writing a token take.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use clap::Args;
use kiln_inference::{Request, generate_after};
use kiln_models::saved::SavedModel;
use kiln_models::{LanguageModel, ModelConfig, Tokenizer};
use kiln_settings::Override;
use kiln_storage::Which;
use serde::Serialize;

use super::measuring::{MeasuringArguments, Setup};
use super::speed::{Cost, Speed};
use super::table::{SPEED_HEADINGS, speed_cells, table};
use crate::arguments::{RunsArguments, open_run};
use crate::device::Chosen;
use crate::exit::UsageError;
use crate::runs;
use crate::terminal::say;
use crate::training_data;
use crate::training_display::grouped;
use crate::usage::whole;

/// Weights are 32-bit floats.
const BYTES_PER_NUMBER: f64 = 4.0;

const ABOUT_THE_NUMBERS: &str = "\
One text at a time, as `kiln sample` writes it: the model, the choice of a token, its text. A round reads the prompt \
up to the first new token and then writes the others; the two are timed apart. Before the first round one is done \
that is not timed.

GFLOP/s  the model's matrix products alone; for writing, with as many tokens before it as there are
         on average
GB/s     the weights, read once for the whole prompt, and once for each token that is written; small
         weights that stay in a cache can come faster than a copy";

/// Arguments of `kiln bench generate`.
#[derive(Debug, Args)]
#[command(after_help = ABOUT_THE_NUMBERS)]
pub(super) struct GenerateArguments {
    /// A model: a run, by folder or name, a checkpoint, a folder of Hugging Face, a GGUF file; or a configuration, whose
    /// model then has its first weights
    #[arg(value_name = "MODEL|CONFIG")]
    path: PathBuf,

    #[command(flatten)]
    runs: RunsArguments,

    /// Which checkpoint of a run: best, last, or a number of steps [default: best]
    #[arg(long, value_name = "WHICH")]
    checkpoint: Option<Which>,

    /// Set a key of the configuration; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = crate::arguments::overriding)]
    #[arg(conflicts_with = "checkpoint")]
    overrides: Vec<Override>,

    /// Tokens in the prompt [default: half of what the model was made for]
    #[arg(long, value_name = "N", value_parser = whole(1..=1 << 24))]
    prompt_tokens: Option<u64>,

    /// Tokens to write after the first [default: as many as still fit]
    #[arg(long, value_name = "N", value_parser = whole(1..=1 << 24))]
    tokens: Option<u64>,

    #[command(flatten)]
    measuring: MeasuringArguments,
}

/// What a program reads.
#[derive(Debug, Serialize)]
struct Report {
    #[serde(flatten)]
    setup: Setup,
    source: PathBuf,
    model: &'static str,
    parameters: u64,
    prompt_tokens: u64,
    /// Written after the first one.
    tokens: u64,
    /// Of the whole prompt, up to the first token after it.
    prefill: Speed,
    prefill_tokens_per_second: f64,
    /// Of one token.
    decode: Speed,
    decode_tokens_per_second: f64,
}

/// A model that writes.
struct Writer {
    model: LanguageModel,
    tokenizer: Tokenizer,
    config: ModelConfig,
    /// Tokens in a window of its training.
    context: usize,
}

/// How many tokens are read and written.
#[derive(Clone, Copy)]
struct Lengths {
    prompt: u64,
    written: u64,
}

/// `kiln bench generate`.
pub(super) fn generate(arguments: &GenerateArguments) -> anyhow::Result<()> {
    let (writer, chosen) = Writer::open(arguments)?;
    let lengths = lengths(arguments, &writer)?;
    // Any tokens do; these are not all the same.
    let vocabulary = writer.tokenizer.vocabulary_size() as u64;
    let prompt: Vec<u32> = (0..lengths.prompt).map(|index| (index * 7 % vocabulary) as u32).collect();
    writer.write(&prompt, lengths.written)?;
    let (mut reading, mut writing) = (Vec::new(), Vec::new());
    let setup = arguments.measuring.measure(&chosen, || {
        let (prompt_seconds, token_seconds) = writer.write(&prompt, lengths.written)?;
        reading.push(prompt_seconds);
        writing.push(token_seconds);
        Ok(())
    })?;
    let report = report(arguments, &writer, lengths, setup, (&reading, &writing));
    arguments.measuring.print(&report, || words(&report))
}

impl Writer {
    /// The model of a run, or that of a configuration with its first weights; and the device that it is on.
    fn open(arguments: &GenerateArguments) -> anyhow::Result<(Self, Chosen)> {
        let path = &arguments.path;
        let is_config = path.extension().is_some_and(|extension| extension == "toml");
        if is_config && arguments.checkpoint.is_some() {
            return Err(UsageError(format!("--checkpoint: {} is a configuration, not a run", path.display())).into());
        }
        if is_config {
            let overrides = &arguments.overrides;
            let config = open_run(path, overrides)?;
            let chosen = arguments.measuring.open_device()?;
            let data = training_data::prepare(&config)?;
            let model = runs::first_model(&config, &data, &chosen);
            let writer = Self { model, tokenizer: data.tokenizer, config: config.model, context: config.run.context };
            return Ok((writer, chosen));
        }
        if !arguments.overrides.is_empty() {
            return Err(UsageError(format!("--set: {} is a run, whose model is what it is", path.display())).into());
        }
        let chosen = arguments.measuring.open_device()?;
        let path = arguments.runs.find(path)?;
        let saved = SavedModel::open_to_read(&path, arguments.checkpoint.unwrap_or(Which::Best), &chosen.device)?;
        if let Some(warning) = &saved.warning {
            say(&format!("warning: {warning}"));
        }
        let (config, context) = (saved.description.model, saved.description.context);
        Ok((Self { model: saved.model, tokenizer: saved.tokenizer, config, context }, chosen))
    }

    /// Reads the prompt, writes one token and then `tokens` more: the seconds up to the first, and of one of the
    /// others.
    fn write(&self, prompt: &[u32], tokens: u64) -> anyhow::Result<(f64, f64)> {
        let request = Request::new("", tokens as usize + 1);
        let started = Instant::now();
        let mut generation = generate_after(&self.model, &self.tokenizer, prompt, &request)?.past_end_token();
        generation.next().context("no token came after the prompt")??;
        let prompt_seconds = started.elapsed().as_secs_f64();
        let started = Instant::now();
        for piece in generation {
            piece?;
        }
        Ok((prompt_seconds, started.elapsed().as_secs_f64() / tokens as f64))
    }
}

/// How many tokens are read and written: as asked for, else half of a context each.
fn lengths(arguments: &GenerateArguments, writer: &Writer) -> anyhow::Result<Lengths> {
    let context = writer.context as u64;
    let prompt = arguments.prompt_tokens.unwrap_or((context / 2).max(1));
    if let Some(limit) = writer.model.longest_window()
        && prompt > limit as u64
    {
        let message = format!("--prompt-tokens {prompt}: the model reads at most {limit} tokens");
        return Err(UsageError(message).into());
    }
    Ok(Lengths { prompt, written: arguments.tokens.unwrap_or(context.saturating_sub(prompt).max(1)) })
}

fn report(
    arguments: &GenerateArguments,
    writer: &Writer,
    lengths: Lengths,
    setup: Setup,
    (reading, writing): (&[f64], &[f64]),
) -> Report {
    let vocabulary = writer.tokenizer.vocabulary_size();
    let parameters = writer.config.parameter_count(vocabulary, writer.context);
    let flops = |length: usize| writer.config.flops_per_token(vocabulary, length).forward as f64;
    let longest = writer.model.longest_window().unwrap_or(usize::MAX);
    let average = ((lengths.prompt + lengths.written.div_ceil(2)) as usize).min(longest);
    let bytes = BYTES_PER_NUMBER * parameters as f64;
    let prefill = Cost { flops: flops(lengths.prompt as usize) * lengths.prompt as f64, bytes };
    let prefill = Speed::new(reading, prefill, setup.limits.as_ref());
    let decode = Speed::new(writing, Cost { flops: flops(average), bytes }, setup.limits.as_ref());
    Report {
        setup,
        source: arguments.path.clone(),
        model: writer.config.name(),
        parameters,
        prompt_tokens: lengths.prompt,
        tokens: lengths.written,
        prefill_tokens_per_second: prefill.per_second(lengths.prompt),
        prefill,
        decode_tokens_per_second: decode.per_second(1),
        decode,
    }
}

fn words(report: &Report) -> String {
    let headings = [&["what", "tokens/s"][..], &SPEED_HEADINGS].concat();
    let row = |what: String, tokens_per_second: f64, speed| {
        let first = [what, grouped(tokens_per_second.round() as u64)];
        first.into_iter().chain(speed_cells(speed)).collect()
    };
    let reading = format!("reading {} tokens", report.prompt_tokens);
    let rows = [
        row(reading, report.prefill_tokens_per_second, &report.prefill),
        row("writing a token".to_owned(), report.decode_tokens_per_second, &report.decode),
    ];
    let mut text = table(1, &headings, &rows);
    text += &format!(
        "\n{}, {} parameters; the median of {} rounds, each of which wrote {} tokens after the first\n",
        report.model,
        grouped(report.parameters),
        report.setup.rounds,
        grouped(report.tokens)
    );
    if let Some(limits) = &report.setup.limits {
        text += &format!("{}\n", limits.words());
    }
    text
}
