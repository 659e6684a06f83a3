//! `kiln translate RUN`: a line in, its translation out.

mod attention;

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use kiln_inference::{Beams, SamplerConfig, Translation, Writing};
use kiln_models::saved::SavedModel;
use kiln_storage::Which;

use crate::arguments::{DeviceArguments, RunsArguments};
use crate::exit::{Exit, UsageError};
use crate::runs::{self, refuse_no_model};
use crate::terminal::say;
use crate::translating::{AT_ONCE, by_length, translator};
use crate::usage::whole;

/// Bytes of stdin that are looked at for lines at a time.
const BUFFER: usize = 1 << 16;

/// The longest line that is read, in bytes.
const LONGEST_LINE: u64 = 1 << 20;

/// Arguments of `kiln translate`.
#[derive(Debug, Args)]
pub(crate) struct TranslateArguments {
    /// A run of an encoder-decoder, by folder or name, or one of its checkpoints
    run: PathBuf,

    /// A text to translate [default: each line of stdin]
    #[arg(value_name = "TEXT")]
    texts: Vec<String>,

    #[command(flatten)]
    runs: RunsArguments,

    /// Which checkpoint of the run: best, last, or a number of steps
    #[arg(long, value_name = "WHICH", default_value = "best")]
    checkpoint: Which,

    /// Search with N beginnings side by side for the likeliest translation
    #[arg(long, value_name = "N", value_parser = whole(1..=1024))]
    beams: Option<u64>,

    /// Above 0 longer translations score better, below 0 shorter ones
    #[arg(long, value_name = "P", requires = "beams", default_value_t = 1.0, allow_negative_numbers = true)]
    length_penalty: f64,

    /// Print the N best translations of each line, each behind its score and a tab
    #[arg(long, value_name = "N", requires = "beams", value_parser = whole(1..=1024))]
    best: Option<u64>,

    /// Draw tokens instead of taking the likeliest; below 1 likely tokens become likelier
    #[arg(short, long, value_name = "T", conflicts_with = "beams", allow_negative_numbers = true)]
    temperature: Option<f32>,

    /// Draw among the K likeliest tokens only
    #[arg(long, value_name = "K", requires = "temperature", value_parser = whole(1..=1_000_000_000))]
    top_k: Option<u64>,

    /// Draw among the fewest likeliest tokens that together have the probability P
    #[arg(long, value_name = "P", requires = "temperature", allow_negative_numbers = true)]
    top_p: Option<f32>,

    /// Seed of the draws; the n-th line with text draws with the seed plus n
    #[arg(long, value_name = "SEED", requires = "temperature", default_value_t = 0)]
    seed: u64,

    /// Longest translation in tokens [default: the longest that the model writes]
    #[arg(long, value_name = "N", value_parser = whole(1..=1_000_000_000))]
    max_tokens: Option<u64>,

    /// Lines that are translated at the same time, where as many are there
    #[arg(long, value_name = "N", default_value_t = AT_ONCE as u64, value_parser = whole(1..=65536))]
    batch: u64,

    /// Draw where each token of the translation of the first line looks in it, as an SVG picture
    #[arg(long, value_name = "FILE")]
    attention: Option<PathBuf>,

    #[command(flatten)]
    device: DeviceArguments,
}

/// `kiln translate`.
pub(crate) fn translate(arguments: &TranslateArguments) -> anyhow::Result<Exit> {
    let writing = arguments.writing()?;
    let chosen = arguments.device.choose()?;
    let path = arguments.runs.find(&arguments.run)?;
    refuse_no_model(&path, "translate")?;
    let saved = SavedModel::open(&path, arguments.checkpoint, &chosen.device)?;
    if let Some(warning) = &saved.warning {
        say(&format!("warning: {warning}"));
    }
    if !saved.description.model.reads_pairs() {
        let (there, name) = (runs::quoted(&path.to_string_lossy()), saved.description.model.name());
        let words = format!("{there} is a {name}, which continues a text; only an encoder-decoder translates");
        return Err(UsageError(format!("{words}\n  help: `kiln sample {there}` writes with it")).into());
    }
    let mut lines =
        Lines { arguments, saved: &saved, writing, read: 0, translated: 0, picture: arguments.attention.as_ref() };
    if !arguments.texts.is_empty() {
        lines.translate(&arguments.texts)?;
        return Ok(Exit::Done);
    }
    let mut input = BufReader::with_capacity(BUFFER, std::io::stdin().lock());
    loop {
        let portion = portion(&mut input, arguments.batch as usize)?;
        if portion.is_empty() {
            return Ok(Exit::Done);
        }
        lines.translate(&portion)?;
    }
}

impl TranslateArguments {
    fn writing(&self) -> Result<Writing, UsageError> {
        if let Some(count) = self.beams {
            let best = self.best.unwrap_or(1);
            if best > count {
                return Err(UsageError(format!("--best {best}: a search with {count} beams has no more than them")));
            }
            if !self.length_penalty.is_finite() {
                return Err(UsageError("--length-penalty: must be a finite number".to_owned()));
            }
            let beams = Beams { count: count as usize, length_penalty: self.length_penalty };
            return Ok(Writing::Beams { beams, best: best as usize });
        }
        let Some(temperature) = self.temperature else { return Ok(Writing::Greedy) };
        let config = SamplerConfig {
            temperature,
            top_k: self.top_k.map(|count| count as usize),
            top_p: self.top_p,
            seed: self.seed,
            ..SamplerConfig::default()
        };
        Ok(Writing::Drawn(config))
    }
}

/// The next line of the input, and those that are there already behind it, `most` at most.
fn portion(input: &mut BufReader<impl Read>, most: usize) -> anyhow::Result<Vec<String>> {
    let mut lines = Vec::new();
    while lines.len() < most && (lines.is_empty() || input.buffer().contains(&b'\n')) {
        let mut line = Vec::new();
        input.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line).context("cannot read stdin")?;
        if line.is_empty() {
            break;
        }
        if line.len() as u64 == LONGEST_LINE {
            return Err(UsageError(format!("stdin has a line of more than {LONGEST_LINE} bytes")).into());
        }
        let text = String::from_utf8(line).map_err(|_| UsageError("stdin is not UTF-8".to_owned()))?;
        lines.push(text.trim_end_matches(['\n', '\r']).to_owned());
    }
    Ok(lines)
}

/// Lines on their way.
struct Lines<'a> {
    arguments: &'a TranslateArguments,
    saved: &'a SavedModel,
    writing: Writing,
    /// Lines before these, and those of them with text.
    read: usize,
    translated: u64,
    /// Where the first line's picture goes, until it is drawn.
    picture: Option<&'a PathBuf>,
}

impl Lines<'_> {
    /// Translates lines and prints what they become, in their order. A line without text stays one.
    fn translate(&mut self, lines: &[String]) -> anyhow::Result<()> {
        let (tokenizer, context) = (&self.saved.tokenizer, self.saved.description.context);
        let mut sources = Vec::new();
        for (number, line) in (self.read + 1..).zip(lines) {
            if line.trim().is_empty() {
                continue;
            }
            let source = tokenizer.encode(line).with_context(|| format!("line {number} can't be read"))?;
            if source.len() + 1 > context {
                let tokens = source.len() + 1;
                let words = format!("line {number} has {tokens} tokens, and the model reads at most {context}");
                return Err(UsageError(words).into());
            }
            sources.push(source);
        }
        if let Writing::Drawn(config) = &mut self.writing {
            config.seed = self.arguments.seed.wrapping_add(self.translated);
        }
        let translator = translator(&self.saved.model, tokenizer)?;
        let (longest, at_once) = (self.arguments.max_tokens.unwrap_or(u64::MAX), self.arguments.batch as usize);
        let longest = usize::try_from(longest).unwrap_or(usize::MAX);
        let found = by_length(&translator, &sources, longest, &self.writing, at_once, &mut |_| true)?;
        if let (Some(path), Some(source), Some(best)) =
            (self.picture, sources.first(), found.first().and_then(|found| found.first()))
        {
            attention::draw(self.saved, source, &best.tokens, path)?;
            self.picture = None;
        }
        self.translated += found.len() as u64;
        self.print(lines, found)?;
        self.read += lines.len();
        Ok(())
    }

    fn print(&self, lines: &[String], found: Vec<Vec<Translation>>) -> anyhow::Result<()> {
        let mut stdout = std::io::stdout().lock();
        let mut found = found.into_iter();
        for line in lines {
            if line.trim().is_empty() {
                writeln!(stdout)?;
                continue;
            }
            for Translation { tokens, score, .. } in found.next().unwrap_or_default() {
                let text = self.saved.tokenizer.decode(&tokens).replace('\n', " ");
                match self.arguments.best {
                    Some(_) => writeln!(stdout, "{score:.4}\t{text}")?,
                    None => writeln!(stdout, "{text}")?,
                }
            }
        }
        Ok(stdout.flush()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_there_are_translated_together_and_no_line_is_waited_for() {
        let mut input = BufReader::with_capacity(8, "ab\ncd\ne\r\nfghijklmnop\nq".as_bytes());
        let mut portions = Vec::new();
        loop {
            let portion = portion(&mut input, 2).unwrap();
            if portion.is_empty() {
                break;
            }
            portions.push(portion);
        }
        assert_eq!(portions, [vec!["ab", "cd"], vec!["e"], vec!["fghijklmnop"], vec!["q"]]);
    }
}
