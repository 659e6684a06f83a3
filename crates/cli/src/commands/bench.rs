//! `kiln bench`: how fast this machine trains, samples and computes, and how far that is from what it can do.
//!
//! Everything is measured in one process, in rounds that alternate between the things that are compared, after a warm-up that
//! is not timed. What counts is the median over the rounds; the fastest and the slowest one show how far to trust it.

mod attention;
mod contest;
mod kernels;
mod limits;
mod memory;
mod sample;
mod speed;
mod stopwatch;
mod table;
mod train;

use std::io::Write;

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use self::attention::AttentionArguments;
use self::kernels::KernelsArguments;
pub(crate) use self::kernels::check::Disagreement;
use self::limits::Limits;
use self::sample::SampleArguments;
use self::train::TrainArguments;
use crate::device::{Chosen, choose};
use crate::terminal::say;

/// Arguments of `kiln bench`.
#[derive(Debug, Args)]
pub(crate) struct BenchArguments {
    #[command(subcommand)]
    what: Bench,
}

/// What to measure.
#[derive(Debug, Subcommand)]
enum Bench {
    /// Time updates of configurations: tokens a second, arithmetic, memory traffic, peak memory
    Train(TrainArguments),
    /// Time the reading of a prompt and the writing of text, one text at a time
    Sample(SampleArguments),
    /// Time single operations, Kiln's own beside the same composed of Burn's
    Kernels(KernelsArguments),
    /// Measure how time and memory of attention grow with the length of the window
    Attention(AttentionArguments),
}

/// What all of them take.
#[derive(Debug, Args)]
struct MeasuringArguments {
    /// Rounds, of which the median counts
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    rounds: u64,

    /// Where to compute: auto, cpu, ndarray, wgpu[:N], vulkan[:N], cuda[:N], rocm[:N], metal; `wgpu:software` for an adapter that computes on the CPU
    #[arg(long, default_value = "auto")]
    device: String,

    /// Leave out the machine's limits: its matrix product and its copy, measured before and after the rounds
    #[arg(long)]
    no_limits: bool,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What every report begins with.
#[derive(Debug, Serialize)]
struct Setup {
    kiln: &'static str,
    device: String,
    device_description: String,
    rounds: u64,
    /// Nothing where they were left out.
    limits: Option<Limits>,
}

/// `kiln bench`.
///
/// # Errors
/// A wrong configuration, data or saved model, a device that fails, a training that diverges.
pub(crate) fn bench(arguments: &BenchArguments) -> anyhow::Result<()> {
    match &arguments.what {
        Bench::Train(arguments) => train::train(arguments),
        Bench::Sample(arguments) => sample::sample(arguments),
        Bench::Kernels(arguments) => kernels::kernels(arguments),
        Bench::Attention(arguments) => attention::attention(arguments),
    }
}

impl MeasuringArguments {
    /// Opens the device and says which one it is.
    fn open_device(&self) -> anyhow::Result<Chosen> {
        let chosen = choose(&self.device)?;
        say(&format!("device: {}", chosen.description));
        Ok(chosen)
    }

    /// Does `round` as often as there are rounds, between two readings of the machine's limits.
    fn measure(&self, chosen: &Chosen, mut round: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<Setup> {
        let read = || (!self.no_limits).then(|| limits::read(chosen)).transpose();
        let before = read()?;
        // indicatif hides the bar by itself where stderr is no terminal.
        let style = ProgressStyle::with_template("round {pos}/{len} [{bar:30}] {eta}");
        let bar = ProgressBar::new(self.rounds).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        for _ in 0..self.rounds {
            round()?;
            bar.inc(1);
        }
        bar.finish_and_clear();
        let limits = before.zip(read()?).map(|(before, after)| Limits::between(before, after));
        Ok(Setup {
            kiln: env!("CARGO_PKG_VERSION"),
            device: chosen.name.clone(),
            device_description: chosen.description.clone(),
            rounds: self.rounds,
            limits,
        })
    }

    /// Writes the report to stdout: as JSON, or as words where a person reads it.
    fn print(&self, report: &impl Serialize, words: impl FnOnce() -> String) -> anyhow::Result<()> {
        let mut stdout = std::io::stdout().lock();
        if self.json {
            serde_json::to_writer(&mut stdout, report)?;
            writeln!(stdout)?;
        } else {
            stdout.write_all(words().as_bytes())?;
        }
        Ok(stdout.flush()?)
    }
}
