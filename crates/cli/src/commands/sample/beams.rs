//! `kiln sample RUN --beams N`: the likeliest text instead of a drawn one.

use std::io::{self, IsTerminal, Write};
use std::time::Instant;

use kiln_inference::{Beams, Request, search};
use kiln_models::saved::SavedModel;

use super::{Sample, SampleArguments, finish_word};
use crate::exit::UsageError;
use crate::terminal::say;
use crate::usage::whole;

const SEARCH_HEADING: &str = "Search";

/// Every beam is a row of the model's memory.
const MOST_BEAMS: u64 = 1024;

/// What chooses single tokens has no place in a search, and only one text is found.
const OTHER_CHOICES: [&str; 23] = [
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "typical_p",
    "top_n_sigma",
    "xtc_probability",
    "mirostat_surprise",
    "repetition_penalty",
    "frequency_penalty",
    "presence_penalty",
    "dry_multiplier",
    "logit_bias",
    "seed",
    "count",
    "interactive",
    "dry_breaker",
    "speculate",
    "draft",
    "amateur",
    "json_schema",
    "regex",
    "grammar",
];

/// How the likeliest text is searched.
#[derive(Debug, clap::Args)]
pub(super) struct BeamArguments {
    /// Search for the likeliest text with N beginnings side by side, instead of choosing token by token
    #[arg(
        long, value_name = "N", help_heading = SEARCH_HEADING, value_parser = whole(1..=MOST_BEAMS),
        conflicts_with_all = OTHER_CHOICES
    )]
    beams: Option<u64>,

    /// The search compares ln of a text's probability divided by its length to the power of A: above 0 longer texts
    /// gain, below 0 shorter ones
    #[arg(
        long, value_name = "A", help_heading = SEARCH_HEADING, requires = "beams", default_value_t = 1.0,
        allow_negative_numbers = true
    )]
    length_penalty: f64,
}

impl BeamArguments {
    pub(super) fn is_given(&self) -> bool {
        self.beams.is_some()
    }

    /// The search that the arguments ask for.
    ///
    /// # Errors
    /// When the penalty is no number.
    pub(super) fn get(&self) -> Result<Option<Beams>, UsageError> {
        if !self.length_penalty.is_finite() {
            return Err(UsageError(format!("--length-penalty must be a finite number, is {}", self.length_penalty)));
        }
        let count = self.beams.and_then(|count| usize::try_from(count).ok());
        Ok(count.map(|count| Beams { count, length_penalty: self.length_penalty }))
    }
}

/// Writes the text that a search finds, or an object.
pub(super) fn write_found(
    saved: &SavedModel,
    request: &Request,
    prompt: &str,
    shown: &str,
    beams: Beams,
    arguments: &SampleArguments,
) -> anyhow::Result<()> {
    let started = Instant::now();
    let found = search(&saved.model, &saved.tokenizer, request, beams)?;
    let seconds = started.elapsed().as_secs_f64();
    let text: String = found.pieces.iter().map(|piece| piece.text.as_str()).collect();
    let mut stdout = io::stdout().lock();
    let ends_line = if arguments.json {
        let sample = Sample {
            prompt,
            text: &text,
            tokens: found.pieces.len(),
            finish: finish_word(found.finish),
            seed: request.sampler.seed,
            checkpoint: &saved.folder,
            step: saved.step,
            tokens_per_second: Some(found.pieces.len() as f64 / seconds).filter(|rate| rate.is_finite()),
            guesses: None,
            score: Some(found.score),
        };
        serde_json::to_writer(&mut stdout, &sample)?;
        writeln!(stdout)?;
        true
    } else {
        write!(stdout, "{shown}{text}")?;
        if stdout.is_terminal() {
            writeln!(stdout)?;
        }
        stdout.is_terminal()
    };
    stdout.flush()?;
    if arguments.verbose {
        let above = if ends_line { "" } else { "\n" };
        let (tokens, score, finish) = (found.pieces.len(), found.score, finish_word(found.finish));
        say(&format!("{above}{tokens} tokens with a score of {score:.4} in {seconds:.2} s; stopped by {finish}"));
    }
    Ok(())
}
