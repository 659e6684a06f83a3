//! `kiln sample RUN`: text written with a trained model.

mod beams;
mod few_shot;
mod grammar;

use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use kiln_inference::{FewShot, Finish, GenerateError, Generation, Guesses, Request, SamplerConfig};
use kiln_storage::Which;
use serde::Serialize;

use crate::adapters::AdapterArguments;
use crate::arguments::{DeviceArguments, RunsArguments};
use crate::companions::{Companions, ContrastArguments, DraftArguments, Opening, words_of_guesses};
use crate::exit::UsageError;
use crate::piped::read_text;
use crate::precision::{CacheArguments, PrecisionArguments};
use crate::report;
use crate::runs::{self, config_of, with_document_ends};
use crate::sampling::{SamplerArguments, token_count};
use crate::terminal::say;
use crate::usage::at_least_one;
use beams::{BeamArguments, write_found};
use few_shot::{FewShotArguments, prompted};
use grammar::GrammarArguments;

const PROMPT_HEADING: &str = "Prompt";

/// Many times the context of any model; a longer prompt was named by mistake.
const LONGEST_PROMPT: u64 = 16 << 20;

const ABOUT_THE_TEXT: &str = "\
The prompt is written first, then its continuation as it comes. The same command writes the same text. Behind examples \
(`--few-shot`) the prompt stands as the template writes it, and the text ends where the template continues after an \
output, unless `--stop` says otherwise.

On a terminal and without a prompt, each line that is typed is continued, until Ctrl-D; `--prompt \"\"` writes a \
document from its beginning instead.";

/// Arguments of `kiln sample`.
#[derive(Debug, clap::Args)]
#[command(after_help = ABOUT_THE_TEXT)]
pub(crate) struct SampleArguments {
    /// A run, by folder or name, for example runs/quickstart; a checkpoint; or a folder with `model.safetensors` and
    /// `tokenizer.json`
    run: PathBuf,

    #[command(flatten)]
    runs: RunsArguments,

    /// Which checkpoint of the run: best, last, or a number of steps
    #[arg(long, value_name = "WHICH", default_value = "best")]
    checkpoint: Which,

    /// Text to continue; `-` reads it from stdin [default: the beginning of a document]
    #[arg(short, long, value_name = "TEXT", help_heading = PROMPT_HEADING, conflicts_with = "prompt_file")]
    prompt: Option<String>,

    /// UTF-8 file with the text to continue, including any line break at its end; `-` is stdin
    #[arg(long, value_name = "FILE", help_heading = PROMPT_HEADING)]
    prompt_file: Option<PathBuf>,

    #[command(flatten)]
    few_shot: FewShotArguments,

    /// Continue each line of the input, until it ends, even where stdin isn't a terminal
    #[arg(short, long, help_heading = PROMPT_HEADING, conflicts_with_all = ["prompt", "prompt_file", "json", "count"])]
    interactive: bool,

    /// How many texts to write, each with the next seed; `---` separates them, and `--json` prints one object a line
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = at_least_one())]
    count: u64,

    /// The most tokens to write after the prompt
    #[arg(
        short = 'n', long, value_name = "N", default_value_t = 500, value_parser = token_count,
        allow_negative_numbers = true
    )]
    max_tokens: usize,

    /// Stop before writing this text; may be repeated
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,

    #[command(flatten)]
    sampler: SamplerArguments,

    #[command(flatten)]
    grammar: GrammarArguments,

    #[command(flatten)]
    guesses: DraftArguments,

    #[command(flatten)]
    contrast: ContrastArguments,

    #[command(flatten)]
    beams: BeamArguments,

    #[command(flatten)]
    device: DeviceArguments,

    #[command(flatten)]
    adapters: AdapterArguments,

    #[command(flatten)]
    precision: PrecisionArguments,

    #[command(flatten)]
    cache: CacheArguments,

    /// Print one JSON object at the end instead of the text as it comes
    #[arg(long)]
    json: bool,

    /// Report the device, the model and the speed on stderr (a terminal gets the speed in any case)
    #[arg(short, long)]
    verbose: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Sample<'a> {
    prompt: &'a str,
    text: &'a str,
    tokens: usize,
    finish: &'static str,
    seed: u64,
    checkpoint: &'a Path,
    step: Option<u64>,
    tokens_per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    guesses: Option<Guesses>,
    /// Of the text that a search found.
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<f64>,
}

/// `kiln sample`.
///
/// # Errors
/// Settings that make no sense, a prompt that cannot be read, a checkpoint that cannot be opened, a device that fails,
/// or a closed stdout.
pub(crate) fn sample(arguments: &SampleArguments) -> anyhow::Result<()> {
    let mut request = request(arguments)?;
    let few_shot = arguments.few_shot.read()?;
    let chosen = arguments.device.choose()?;
    let path = arguments.runs.find(&arguments.run)?;
    runs::refuse_no_model(&path, "sample")?;
    let base = arguments.adapters.base(&arguments.runs)?;
    let mut saved = arguments.precision.open(&path, arguments.checkpoint, base.as_deref(), &chosen)?;
    crate::runs::refuse_pairs(&saved, "sample")?;
    saved.model = arguments.cache.apply(saved.model, &chosen)?;
    let opening = Opening { runs: &arguments.runs, precision: arguments.precision, device: &chosen };
    let models = Companions::open(saved, &arguments.guesses, &arguments.contrast, &opening)?;
    let saved = &models.saved;
    request.start.clone_from(&saved.start);
    request.end.clone_from(&saved.end);
    request.sampler = arguments.sampler.with_tokens(request.sampler, &saved.tokenizer)?;
    if let Some(warning) = &saved.warning {
        say(&format!("warning: {warning}"));
    }
    if arguments.verbose {
        say(&format!("device: {}", chosen.description));
        let step = saved.step.map_or_else(String::new, |step| format!(", step {step}"));
        say(&format!("model: {}{step}", saved.folder.display()));
    }
    // A run that lost its configuration is sampled from as it is.
    let config = config_of(saved).ok().flatten();
    let separator = config.as_ref().and_then(|config| config.data.separator.as_deref());
    if arguments.is_interactive() {
        return continue_lines(&models, few_shot.as_ref(), separator, &request, arguments);
    }
    for index in 0..arguments.count {
        if index > 0 && !arguments.json {
            writeln!(io::stdout(), "\n---")?;
        }
        write_text(&models, few_shot.as_ref(), separator, &with_seed_after(&request, index), arguments)?;
    }
    Ok(())
}

impl SampleArguments {
    /// Whether prompts are read as long as there are any.
    fn is_interactive(&self) -> bool {
        let is_plain = !self.has_prompt() && !self.json && self.count == 1 && !self.beams.is_given();
        self.interactive || (is_plain && io::stdin().is_terminal() && io::stdout().is_terminal())
    }

    fn has_prompt(&self) -> bool {
        self.prompt.is_some() || self.prompt_file.is_some()
    }
}

/// The same request with a seed that is `index` higher.
fn with_seed_after(request: &Request, index: u64) -> Request {
    let sampler = &request.sampler;
    let sampler = SamplerConfig { seed: sampler.seed.wrapping_add(index), ..sampler.clone() };
    Request { sampler, ..request.clone() }
}

/// Continues every line of stdin, each with another seed. One that the model cannot read is said, and the next one
/// asked for.
fn continue_lines(
    models: &Companions,
    few_shot: Option<&FewShot>,
    separator: Option<&str>,
    request: &Request,
    arguments: &SampleArguments,
) -> anyhow::Result<()> {
    let is_asked = io::stdin().is_terminal();
    if is_asked {
        say("type a text to continue; an empty line begins a document; Ctrl-D ends");
    }
    for index in 0.. {
        if is_asked {
            let mut stderr = io::stderr().lock();
            let _ = stderr.write_all(b"> ").and_then(|()| stderr.flush());
        }
        let mut line = String::new();
        let read = io::stdin().lock().take(LONGEST_PROMPT).read_line(&mut line);
        if read.context("cannot read a prompt from stdin")? == 0 {
            break;
        }
        let prompt = line.trim_end_matches(['\n', '\r']).to_owned();
        let request = Request { prompt, ..with_seed_after(request, index) };
        match write_text(models, few_shot, separator, &request, arguments) {
            Err(error) if matches!(error.downcast_ref(), Some(GenerateError::Prompt(_))) => report::print(&error),
            other => other?,
        }
        writeln!(io::stdout())?;
    }
    Ok(())
}

/// Writes one text, as it comes or as an object.
fn write_text(
    models: &Companions,
    few_shot: Option<&FewShot>,
    separator: Option<&str>,
    request: &Request,
    arguments: &SampleArguments,
) -> anyhow::Result<()> {
    let (request, shown) = prompted(few_shot, request)?;
    let saved = &models.saved;
    let read = with_document_ends(saved, separator, &request.prompt);
    if let Some(beams) = arguments.beams.get()? {
        return write_found(
            saved,
            &Request { prompt: read, ..request.clone() },
            &request.prompt,
            &shown,
            beams,
            arguments,
        );
    }
    let mut draft = models.draft();
    let mut generation = models.generate(draft.as_mut(), &Request { prompt: read, ..request.clone() })?;
    let mut speed = Speed::new();
    let mut stdout = io::stdout().lock();
    let mut ends_line = true;
    if arguments.json {
        let text = collect(&mut generation, &mut speed)?;
        let sample = Sample {
            prompt: &request.prompt,
            text: &text,
            tokens: speed.tokens,
            finish: finish_word(generation.finish()),
            seed: request.sampler.seed,
            checkpoint: &saved.folder,
            step: saved.step,
            tokens_per_second: speed.tokens_per_second(),
            guesses: Some(generation.guesses()).filter(|guesses| guesses.made > 0),
            score: None,
        };
        serde_json::to_writer(&mut stdout, &sample)?;
        writeln!(stdout)?;
    } else {
        ends_line = stream(&mut stdout, &shown, &mut generation, &mut speed)?;
    }
    stdout.flush()?;
    if arguments.verbose || io::stderr().is_terminal() {
        // Where both go to the same place.
        let above = if ends_line { "" } else { "\n" };
        let guesses = words_of_guesses(generation.guesses());
        say(&format!("{above}{}{guesses}", speed.words(finish_word(generation.finish()))));
    }
    Ok(())
}

/// Writes the prompt and every piece as soon as it is there; gives whether what was written ends a line.
fn stream(
    stdout: &mut io::StdoutLock,
    prompt: &str,
    generation: &mut Generation,
    speed: &mut Speed,
) -> anyhow::Result<bool> {
    stdout.write_all(prompt.as_bytes())?;
    stdout.flush()?;
    let mut ends_line = prompt.is_empty() || prompt.ends_with('\n');
    for piece in generation.by_ref() {
        let piece = piece?;
        speed.count();
        if !piece.text.is_empty() {
            stdout.write_all(piece.text.as_bytes())?;
            stdout.flush()?;
            ends_line = piece.text.ends_with('\n');
        }
    }
    // A person's next prompt should stand on its own line; a program gets the text and nothing else.
    if !ends_line && stdout.is_terminal() {
        writeln!(stdout)?;
        ends_line = true;
    }
    Ok(ends_line)
}

fn collect(generation: &mut Generation, speed: &mut Speed) -> anyhow::Result<String> {
    let mut text = String::new();
    for piece in generation.by_ref() {
        text += &piece?.text;
        speed.count();
    }
    Ok(text)
}

fn finish_word(finish: Option<Finish>) -> &'static str {
    match finish {
        Some(Finish::EndToken) => "end-token",
        Some(Finish::StopText) => "stop-text",
        Some(Finish::Grammar) => "grammar",
        Some(Finish::Length) | None => "length",
    }
}

/// The request that the arguments ask for, checked before any file or device is touched.
fn request(arguments: &SampleArguments) -> anyhow::Result<Request> {
    let sampler = arguments.sampler.config()?;
    arguments.beams.get()?;
    arguments.contrast.get()?;
    if arguments.stop.iter().any(String::is_empty) {
        return Err(UsageError("--stop must not be empty: it would stop before the first token".into()).into());
    }
    if arguments.few_shot.is_given() && !arguments.has_prompt() && !arguments.is_interactive() {
        let words =
            "the examples are there, and the input is not: `--prompt TEXT`, or `--interactive` for lines of stdin";
        return Err(UsageError(words.into()).into());
    }
    let prompt = prompt(arguments)?;
    Ok(Request {
        prompt,
        start: Vec::new(),
        end: Vec::new(),
        max_tokens: arguments.max_tokens,
        stop: arguments.stop.clone(),
        sampler,
        grammar: arguments.grammar.read()?,
        speculate: arguments.guesses.count(),
    })
}

fn prompt(arguments: &SampleArguments) -> anyhow::Result<String> {
    match (&arguments.prompt, &arguments.prompt_file) {
        (Some(text), _) if text == "-" => read_text(Path::new("-"), LONGEST_PROMPT, "prompt"),
        (Some(text), _) => Ok(text.clone()),
        (None, Some(path)) => read_text(path, LONGEST_PROMPT, "prompt"),
        (None, None) => Ok(String::new()),
    }
}

/// How fast tokens come. The first waits for the prompt to be read, and on a GPU for kernels to be compiled, so it is
/// told apart.
struct Speed {
    started: Instant,
    first: Option<Instant>,
    latest: Instant,
    tokens: usize,
}

impl Speed {
    fn new() -> Self {
        let now = Instant::now();
        Self { started: now, first: None, latest: now, tokens: 0 }
    }

    fn count(&mut self) {
        self.latest = Instant::now();
        self.first.get_or_insert(self.latest);
        self.tokens += 1;
    }

    /// Of the tokens after the first; `None` if there are none.
    fn tokens_per_second(&self) -> Option<f64> {
        let seconds = (self.latest - self.first?).as_secs_f64();
        (self.tokens > 1 && seconds > 0.0).then(|| (self.tokens - 1) as f64 / seconds)
    }

    fn words(&self, finish: &str) -> String {
        let first = self.first.map_or(0.0, |first| (first - self.started).as_secs_f64());
        let rate = self.tokens_per_second().map_or(String::new(), |rate| format!(", then {rate:.0} tokens/s"));
        let plural = if self.tokens == 1 { "" } else { "s" };
        format!("{} token{plural}, the first after {first:.2} s{rate}; stopped by {finish}", self.tokens)
    }
}
