//! `kiln bench generate MODEL`: how long reading a prompt and writing a token take.

use std::path::PathBuf;

use clap::Args;
use kiln_models::{LanguageModel, ModelConfig, Tokenizer};
use kiln_settings::Override;
use kiln_storage::Which;
use serde::Serialize;

use super::measuring::{MeasuringArguments, Setup};
use super::speed::{Cost, Speed};
use super::table::{SPEED_HEADINGS, speed_cells, table};
use super::writing::{prompts, time_writing};
use crate::arguments::{RunsArguments, open_run};
use crate::beginnings;
use crate::device::Chosen;
use crate::exit::UsageError;
use crate::precision::{CacheArguments, PrecisionArguments};
use crate::terminal::say;
use crate::training_data;
use crate::training_display::grouped;
use crate::usage::whole;

const ABOUT_THE_NUMBERS: &str = "\
As `kiln sample` writes: the model, the choice of a token, its text. A round reads the prompt up to the first new \
token and then writes the others; the two are timed apart. Before the first round one is done that is not timed.

tokens/s  of all texts of a batch together
GFLOP/s   the model's matrix products alone; for writing, with as many tokens before it as there are
          on average
GB/s      the matrices, read once for the whole prompt, and once for each token that is written; small
          ones that stay in a cache can come faster than memory gives them
of read   of what the machine reaches in reading memory";

/// Arguments of `kiln bench generate`.
#[derive(Debug, Args)]
#[command(after_help = ABOUT_THE_NUMBERS)]
pub(super) struct GenerateArguments {
    /// A model: a run, by folder or name, a checkpoint, a folder of Hugging Face, a GGUF file; or a configuration,
    /// whose model then has its first weights
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

    /// Texts that are written at the same time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole(1..=1 << 16))]
    batch: u64,

    #[command(flatten)]
    precision: PrecisionArguments,

    #[command(flatten)]
    cache: CacheArguments,

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
    batch: u64,
    /// Of the matrices that a token is multiplied with.
    bytes_read_per_token: u64,
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
    let prompts = prompts(&writer.tokenizer, lengths.prompt, arguments.batch);
    let write = || time_writing(&writer.model, &writer.tokenizer, &prompts, lengths.written);
    write()?;
    let (mut reading, mut writing) = (Vec::new(), Vec::new());
    let setup = arguments.measuring.measure(&chosen, || {
        let (prompt_seconds, token_seconds) = write()?;
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
            let model = beginnings::drawn_model(&config, &data, &chosen)?;
            let writer = Self { model, tokenizer: data.tokenizer, config: config.model, context: config.run.context };
            return Ok((writer, chosen));
        }
        if !arguments.overrides.is_empty() {
            return Err(UsageError(format!("--set: {} is a run, whose model is what it is", path.display())).into());
        }
        let chosen = arguments.measuring.open_device()?;
        let path = arguments.runs.find(path)?;
        let saved = arguments.precision.open(&path, arguments.checkpoint.unwrap_or(Which::Best), None, &chosen)?;
        crate::runs::refuse_pairs(&saved, "bench generate")?;
        if let Some(warning) = &saved.warning {
            say(&format!("warning: {warning}"));
        }
        let model = arguments.cache.apply(saved.model, &chosen)?;
        let (config, context) = (saved.description.model, saved.description.context);
        Ok((Self { model, tokenizer: saved.tokenizer, config, context }, chosen))
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
    let (bytes, batch) = (writer.model.bytes_of_matrices(), arguments.batch);
    let cost = |flops: f64| Cost { flops: flops * batch as f64, bytes: bytes as f64 };
    let prefill = cost(flops(lengths.prompt as usize) * lengths.prompt as f64);
    let prefill = Speed::new(reading, prefill, setup.limits.as_ref());
    let decode = Speed::new(writing, cost(flops(average)), setup.limits.as_ref());
    Report {
        setup,
        source: arguments.path.clone(),
        model: writer.config.name(),
        parameters,
        prompt_tokens: lengths.prompt,
        tokens: lengths.written,
        batch,
        bytes_read_per_token: bytes as u64,
        prefill_tokens_per_second: prefill.per_second(batch * lengths.prompt),
        prefill,
        decode_tokens_per_second: decode.per_second(batch),
        decode,
    }
}

fn words(report: &Report) -> String {
    let headings = [&["what", "tokens/s"][..], &SPEED_HEADINGS, &["of read"]].concat();
    let row = |what: String, tokens_per_second: f64, speed: &Speed| {
        let first = [what, grouped(tokens_per_second.round() as u64)];
        let of_read = speed.read_fraction.map_or_else(String::new, |part| format!("{:.1} %", 100.0 * part));
        first.into_iter().chain(speed_cells(speed)).chain([of_read]).collect()
    };
    let reading = format!("reading {} tokens", report.prompt_tokens);
    let rows = [
        row(reading, report.prefill_tokens_per_second, &report.prefill),
        row("writing a token".to_owned(), report.decode_tokens_per_second, &report.decode),
    ];
    let mut text = table(1, &headings, &rows);
    text += &format!(
        "\n{}, {} parameters, {} bytes of matrices for a token; {}the median of {} rounds, each of which wrote {} \
         tokens \
         after the first\n",
        report.model,
        grouped(report.parameters),
        grouped(report.bytes_read_per_token),
        if report.batch > 1 { format!("{} texts at a time; ", report.batch) } else { String::new() },
        report.setup.rounds,
        grouped(report.tokens)
    );
    if let Some(limits) = &report.setup.limits {
        text += &format!("{}\n", limits.words());
    }
    text
}
