//! `kiln find-rate CONFIG`: a learning-rate range test. Keeps nothing.

mod picture;
mod trials;
mod words;

use std::io::Write as _;
use std::path::PathBuf;

use burn::train::Interrupter;
use clap::Args;
use kiln_figures::{Chart, terminal};
use kiln_optimization::optimizers::OptimizerConfig;
use kiln_training::learning::{RateFindings, RateRange, RateRule, RateStop, RateTest, find_rate as test_rates};
use serde::Serialize;

use self::picture::chart;
use self::trials::Trial;
use crate::arguments::{ConfigArguments, DeviceArguments};
use crate::beginnings;
use crate::exit::{Exit, UsageError};
use crate::recorded::Picture;
use crate::runs;
use crate::signals;
use crate::terminal::{progress_bar, say, width};
use crate::training_data;
use crate::usage::whole;

/// Arguments of `kiln find-rate`.
#[derive(Debug, Args)]
pub(crate) struct FindRateArguments {
    #[command(flatten)]
    config: ConfigArguments,

    /// The first rate [default: 1e-6, with plain gradient descent 1e-4]
    #[arg(long, value_name = "RATE", allow_negative_numbers = true)]
    from: Option<f64>,

    /// The last rate [default: 1, with plain gradient descent 100]
    #[arg(long, value_name = "RATE", allow_negative_numbers = true)]
    to: Option<f64>,

    /// Then train for STEPS steps at half the suggested rate, at that rate and at twice the rate, and name the best
    /// [default: 200 steps]
    #[arg(long, value_name = "STEPS", num_args = 0..=1, default_missing_value = "200")]
    #[arg(value_parser = whole(20..=1_000_000))]
    verify: Option<u64>,

    /// How many rates to try, one update each
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = whole(1..=1_000_000))]
    steps: u64,

    #[command(flatten)]
    device: DeviceArguments,

    /// Draw the losses into this file, .svg or .png
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What a program reads.
#[derive(Serialize)]
struct Report<'a> {
    config: String,
    from: f64,
    to: f64,
    #[serde(flatten)]
    findings: &'a RateFindings,
    /// The trainings of `--verify`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    trials: Vec<Trial>,
    /// What to type next.
    command: Option<String>,
}

/// `kiln find-rate`.
pub(crate) fn find_rate(arguments: &FindRateArguments) -> anyhow::Result<Exit> {
    let config = arguments.config.open()?;
    let range = range(arguments, &config.optimizer)?;
    let picture = arguments.output.clone().map(Picture::named).transpose()?;
    let chosen = arguments.device.open()?;
    let data = training_data::prepare(&config)?;
    runs::check_memory(&config, &data, &chosen)?;
    let test = RateTest {
        config: &config,
        model: beginnings::begun_model(&config, &data, &chosen)?,
        train: data.train.clone(),
        range,
    };
    let interrupter = Interrupter::new();
    let received = signals::watch(interrupter.clone())?;
    let bar = progress_bar(arguments.steps, "{msg} [{bar:30}] {pos}/{len} rates {eta}");
    let findings = test_rates(test, &mut |point| {
        bar.set_position(point.step);
        bar.set_message(format!("rate {:.2e}, loss {:.4}", point.rate, point.smoothed));
        !interrupter.should_stop()
    })?;
    bar.finish_and_clear();
    let chart = chart(range, &findings);
    if let Some(picture) = picture {
        picture.draw(std::slice::from_ref(&chart), "")?;
    }
    let trials = match (findings.suggestion, arguments.verify) {
        (Some(rate), Some(steps)) => trials::try_around(rate, steps, &config, &data, &chosen, &interrupter)?,
        _ => Some(Vec::new()),
    };
    let is_interrupted = trials.is_none() || findings.stop == RateStop::Interrupted;
    let trials = trials.unwrap_or_default();
    let rate = if trials.is_empty() { findings.suggestion } else { trials::best(&trials).map(|trial| trial.rate) };
    let command = (!is_interrupted).then(|| words::command(arguments, &config, range, &findings, rate));
    let name = arguments.config.config.display().to_string();
    let report = Report { config: name, from: range.from(), to: range.to(), findings: &findings, trials, command };
    show(&report, arguments, range, &chart)?;
    Ok(if is_interrupted { received.exit() } else { Exit::Done })
}

/// The range as asked for, or one in which the optimizer's usual rates lie.
fn range(arguments: &FindRateArguments, optimizer: &OptimizerConfig) -> Result<RateRange, UsageError> {
    let to = RateRule::of(optimizer).highest;
    let from = to / 1e6;
    RateRange::new(arguments.from.unwrap_or(from), arguments.to.unwrap_or(to), arguments.steps).map_err(UsageError)
}

fn show(report: &Report<'_>, arguments: &FindRateArguments, range: RateRange, chart: &Chart) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    if arguments.json {
        serde_json::to_writer(&mut stdout, report)?;
        writeln!(stdout)?;
        return Ok(());
    }
    say(&words::table(&report.findings.points));
    if !report.findings.points.is_empty() {
        say(&terminal(chart, width()));
    }
    stdout.write_all(words::words(range, report.findings).as_bytes())?;
    if let Some(best) = trials::best(&report.trials) {
        let steps = arguments.verify.unwrap_or_default();
        stdout.write_all(words::trial_words(&report.trials, best, steps).as_bytes())?;
        if let Some(beyond) = words::beyond(&arguments.config, &report.trials, best) {
            stdout.write_all(beyond.as_bytes())?;
        }
    } else if !report.trials.is_empty() {
        writeln!(stdout, "all three diverged")?;
    }
    if let Some(command) = &report.command {
        writeln!(stdout, "\n{command}")?;
    }
    Ok(())
}
