//! `kiln score MODEL`: how likely each token of a text is.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use kiln_inference::{TokenScore, score as score_tokens};
use kiln_models::saved::SavedModel;
use kiln_storage::Which;
use serde::Serialize;

use crate::adapters::AdapterArguments;
use crate::arguments::{DeviceArguments, RunsArguments};
use crate::exit::UsageError;
use crate::piped::read_text;
use crate::precision::PrecisionArguments;
use crate::runs;
use crate::terminal::{say, takes_colours};
use crate::usage::whole;

/// The longest text that is scored, bytes; `kiln eval` measures longer ones.
const LONGEST_TEXT: u64 = 16 << 20;

/// Arguments of `kiln score`.
#[derive(Debug, Args)]
pub(crate) struct ScoreArguments {
    /// A run, by folder or name; a checkpoint; a folder in Hugging Face's form; or a GGUF file
    model: PathBuf,

    #[command(flatten)]
    runs: RunsArguments,

    /// Which checkpoint of a run: best, last, or a number of steps
    #[arg(long, value_name = "WHICH", default_value = "best")]
    checkpoint: Which,

    /// The text; `-` reads it from stdin
    #[arg(short, long, value_name = "TEXT", required_unless_present = "text_file", conflicts_with = "text_file")]
    text: Option<String>,

    /// UTF-8 file with the text; `-` is stdin
    #[arg(long, value_name = "FILE")]
    text_file: Option<PathBuf>,

    /// Show the K likeliest tokens in each place, too
    #[arg(long, value_name = "K", default_value_t = 0, value_parser = whole(0..=1 << 20))]
    top: u64,

    #[command(flatten)]
    device: DeviceArguments,

    #[command(flatten)]
    adapters: AdapterArguments,

    #[command(flatten)]
    precision: PrecisionArguments,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// A token with its score.
#[derive(Serialize)]
struct Token {
    id: u32,
    text: String,
    /// Nats; none for a first token that nothing stands before.
    log_probability: Option<f64>,
    /// 1 is the likeliest.
    rank: Option<usize>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    top: Vec<Candidate>,
}

#[derive(Serialize)]
struct Candidate {
    id: u32,
    text: String,
    log_probability: f64,
}

/// A word and the tokens that it consists of.
#[derive(Serialize)]
struct Word {
    text: String,
    tokens: usize,
    log_probability: f64,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    tokens: Vec<Token>,
    words: Vec<Word>,
    /// The sum over all tokens that have one, nats.
    log_probability: f64,
    nats_per_token: Option<f64>,
    bits_per_byte: Option<f64>,
}

/// `kiln score`.
///
/// # Errors
/// A text or a model that cannot be read, or a device that fails.
pub(crate) fn score(arguments: &ScoreArguments) -> anyhow::Result<()> {
    let text = text(arguments)?;
    if text.is_empty() {
        return Err(UsageError("the text is empty: there is nothing to score".to_owned()).into());
    }
    let chosen = arguments.device.choose()?;
    let path = arguments.runs.find(&arguments.model)?;
    runs::refuse_no_model(&path, "score")?;
    let base = arguments.adapters.base(&arguments.runs)?;
    let saved = arguments.precision.open(&path, arguments.checkpoint, base.as_deref(), &chosen)?;
    crate::runs::refuse_pairs(&saved, "score")?;
    if let Some(warning) = &saved.warning {
        say(&format!("warning: {warning}"));
    }
    let config = runs::config_for_text(&saved)?;
    let separator = config.as_ref().and_then(|config| config.data.separator.as_deref());
    let encoded = saved.tokenizer.encode(&runs::with_document_ends(&saved, separator, &text))?;
    let tokens = [&saved.start[..], &encoded].concat();
    let vocabulary = saved.tokenizer.vocabulary_size();
    let scores = score_tokens(&saved.model, vocabulary, &tokens, saved.start.len(), arguments.top as usize)?;
    let report = Report::new(&saved, scores, text.len());
    if report.nats_per_token.is_none() {
        let words = "the text is one token, and nothing stands before it that it could be predicted from";
        return Err(UsageError(format!("{words}: give a longer one")).into());
    }
    let mut stdout = io::stdout().lock();
    if arguments.json {
        serde_json::to_writer(&mut stdout, &report)?;
        writeln!(stdout)?;
        return Ok(());
    }
    report.print(&mut stdout)
}

fn text(arguments: &ScoreArguments) -> anyhow::Result<String> {
    match (&arguments.text, &arguments.text_file) {
        (Some(text), _) if text == "-" => read_text(Path::new("-"), LONGEST_TEXT, "text"),
        (Some(text), _) => Ok(text.clone()),
        (None, Some(path)) => read_text(path, LONGEST_TEXT, "text"),
        (None, None) => Ok(String::new()),
    }
}

impl Report {
    fn new(saved: &SavedModel, scores: Vec<TokenScore>, bytes: usize) -> Self {
        let mut decoder = saved.tokenizer.decoder();
        let spelled = |token: u32| saved.tokenizer.decode(&[token]);
        let mut words: Vec<Word> = Vec::new();
        let mut tokens = Vec::new();
        for score in scores {
            // As it stands in the text; a part of a character is shown with its last part.
            let text = decoder.push(score.token).unwrap_or_default();
            let begins = words.is_empty() || text.starts_with(char::is_whitespace);
            if begins {
                words.push(Word { text: String::new(), tokens: 0, log_probability: 0.0 });
            }
            if let Some(word) = words.last_mut() {
                word.text += &text;
                word.tokens += 1;
                word.log_probability += score.log_probability.unwrap_or_default();
            }
            let candidate = |(id, log_probability): (u32, f64)| Candidate { id, text: spelled(id), log_probability };
            let top = score.likeliest.into_iter().map(candidate).collect();
            let (id, log_probability, rank) = (score.token, score.log_probability, score.rank);
            tokens.push(Token { id, text, log_probability, rank, top });
        }
        let judged = tokens.iter().filter(|token| token.log_probability.is_some()).count();
        let log_probability: f64 = tokens.iter().filter_map(|token| token.log_probability).sum();
        let nats_per_token = (judged > 0).then(|| -log_probability / judged as f64);
        // A text whose first token has no probability is not all judged.
        let is_whole = judged == tokens.len() && bytes > 0;
        let bits_per_byte = is_whole.then(|| -log_probability / std::f64::consts::LN_2 / bytes as f64);
        Self { tokens, words, log_probability, nats_per_token, bits_per_byte }
    }

    fn print(&self, stdout: &mut io::StdoutLock) -> anyhow::Result<()> {
        let is_coloured = stdout.is_terminal() && takes_colours();
        let painted = |text: &str, log_probability: Option<f64>| match log_probability {
            Some(log_probability) if is_coloured => {
                format!("\x1b[{}m{text}\x1b[0m", colour(log_probability))
            }
            _ => text.to_owned(),
        };
        writeln!(stdout, "{:>10} {:>8}  token", "nats", "rank")?;
        for token in &self.tokens {
            let shown = format!("{:?}", token.text);
            let (nats, rank) = match (token.log_probability, token.rank) {
                (Some(log_probability), Some(rank)) => (format!("{log_probability:.4}"), rank.to_string()),
                _ => ("-".to_owned(), "-".to_owned()),
            };
            write!(stdout, "{nats:>10} {rank:>8}  {}", painted(&shown, token.log_probability))?;
            if !token.top.is_empty() {
                let likeliest: Vec<String> = token
                    .top
                    .iter()
                    .map(|candidate| format!("{:?} {:.1} %", candidate.text, 100.0 * candidate.log_probability.exp()))
                    .collect();
                write!(stdout, "   likeliest: {}", likeliest.join(", "))?;
            }
            writeln!(stdout)?;
        }
        if self.words.len() > 1 && self.words.len() < self.tokens.len() {
            writeln!(stdout, "\n{:>10} {:>8}  word", "nats", "tokens")?;
            for word in &self.words {
                let shown = format!("{:?}", word.text);
                let shown = painted(&shown, Some(word.log_probability / word.tokens as f64));
                writeln!(stdout, "{:>10.4} {:>8}  {shown}", word.log_probability, word.tokens)?;
            }
        }
        writeln!(stdout, "\nlog-probability  {:.4} nats", self.log_probability)?;
        if let Some(nats) = self.nats_per_token {
            writeln!(stdout, "                 {:.4} nats per token, perplexity {:.3}", -nats, nats.exp())?;
        }
        if let Some(bits) = self.bits_per_byte {
            writeln!(stdout, "                 {bits:.4} bits per byte")?;
        }
        Ok(())
    }
}

/// The colour of a token on a terminal: green above one in two, yellow above one in ten, red below one in a hundred.
fn colour(log_probability: f64) -> u8 {
    match log_probability.exp() {
        likely if likely >= 0.5 => 32,
        likely if likely >= 0.1 => 33,
        likely if likely >= 0.01 => 35,
        _ => 31,
    }
}
