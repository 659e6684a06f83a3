//! `kiln find-rate CONFIG`: a learning-rate range test. Keeps nothing.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context;
use burn::train::Interrupter;
use clap::Args;
use kiln_optimization::optimizers::OptimizerConfig;
use kiln_training::learning::{RateFindings, RatePoint, RateRange, RateStop, RateTest, find_rate as test_rates};
use serde::Serialize;

use crate::arguments::{ConfigArguments, DeviceArguments};
use crate::exit::{Exit, UsageError};
use crate::runs;
use crate::signals;
use crate::terminal::{progress_bar, say, width};
use crate::training_data;
use kiln_figures::{Axis, Chart, Line, Series, png, svg, terminal};

/// About how many lines the table has.
const ROWS: usize = 20;

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

    /// How many rates are tried, one update each
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    steps: u64,

    #[command(flatten)]
    device: DeviceArguments,

    /// Draw the losses into this file, an .svg or a .png
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
}

/// `kiln find-rate`.
pub(crate) fn find_rate(arguments: &FindRateArguments) -> anyhow::Result<Exit> {
    let config = arguments.config.open()?;
    let range = range(arguments, &config.optimizer)?;
    let picture = arguments.output.as_deref().map(Picture::named).transpose()?;
    let chosen = arguments.device.open()?;
    let data = training_data::prepare(&config)?;
    let test = RateTest {
        config: &config,
        model: runs::first_model(&config, &data, &chosen),
        train: data.train.clone(),
        range,
    };
    let interrupter = Interrupter::new();
    let received = signals::watch(interrupter.clone())?;
    let bar = progress_bar(arguments.steps, "{msg} [{bar:30}] {pos}/{len} {eta}");
    let findings = test_rates(test, &mut |point| {
        bar.set_position(point.step);
        bar.set_message(format!("rate {:.2e}, loss {:.4}", point.rate, point.smoothed));
        !interrupter.should_stop()
    })?;
    bar.finish_and_clear();
    let chart = chart(range, &findings);
    if let Some(picture) = picture {
        picture.draw(&chart)?;
    }
    show(arguments, range, &findings, &chart)?;
    Ok(if findings.stop == RateStop::Interrupted { received.exit() } else { Exit::Done })
}

/// The range as asked for, or one in which the optimizer's usual rates lie.
fn range(arguments: &FindRateArguments, optimizer: &OptimizerConfig) -> Result<RateRange, UsageError> {
    // An update of plain gradient descent is as long as the gradient is; others bring it to unit size first.
    let is_plain = matches!(optimizer, OptimizerConfig::Sgd(_) | OptimizerConfig::ScheduleFreeSgd(_));
    let (from, to) = if is_plain { (1e-4, 100.0) } else { (1e-6, 1.0) };
    RateRange::new(arguments.from.unwrap_or(from), arguments.to.unwrap_or(to), arguments.steps).map_err(UsageError)
}

/// Where to draw, and how.
struct Picture<'a> {
    path: &'a Path,
    is_svg: bool,
}

impl<'a> Picture<'a> {
    fn named(path: &'a Path) -> Result<Self, UsageError> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("svg") => Ok(Self { path, is_svg: true }),
            Some("png") => Ok(Self { path, is_svg: false }),
            _ => Err(UsageError(format!("--output {}: the name must end in .svg or .png", path.display()))),
        }
    }

    fn draw(&self, chart: &Chart) -> anyhow::Result<()> {
        let bytes = if self.is_svg { svg(chart).into_bytes() } else { png(chart)? };
        std::fs::write(self.path, bytes).with_context(|| format!("cannot write {}", self.path.display()))
    }
}

/// The losses over the rates; what rose far above the first loss is cut off.
fn chart(range: RateRange, findings: &RateFindings) -> Chart {
    let curve = |loss: fn(&RatePoint) -> f64| findings.points.iter().map(|point| (point.rate, loss(point))).collect();
    let losses = || findings.points.iter().map(|point| point.loss);
    let lowest = losses().fold(f64::INFINITY, f64::min);
    let highest = losses().fold(f64::NEG_INFINITY, f64::max).min(1.5 * findings.first_loss.unwrap_or(f64::INFINITY));
    let mut series = vec![
        Series { line: Line::Points, ..Series::curve("loss", 5, curve(|point| point.loss)) },
        Series::curve("smoothed", 0, curve(|point| point.smoothed)),
    ];
    let marks = [("suggestion", findings.suggestion, 2), ("diverged", findings.stop.diverged_at(), 1)];
    for (label, rate, colour) in marks {
        if let Some(rate) = rate {
            let upright = vec![(rate, lowest), (rate, highest)];
            series
                .push(Series { line: Line::Dashed, ..Series::curve(format!("{label}, {rate:.2e}"), colour, upright) });
        }
    }
    let x = Axis { range: Some((range.from(), range.to())), ..Axis::logarithmic("learning rate") };
    let mut y = Axis::linear("loss, nats per token");
    y.range = (lowest < highest).then_some((lowest, highest));
    Chart { title: "Learning-rate range test".to_string(), x, y, series, note: None }
}

fn show(arguments: &FindRateArguments, range: RateRange, findings: &RateFindings, chart: &Chart) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    if arguments.json {
        let config = arguments.config.config.display().to_string();
        serde_json::to_writer(&mut stdout, &Report { config, from: range.from(), to: range.to(), findings })?;
        writeln!(stdout)?;
    } else {
        say(&table(&findings.points));
        if !findings.points.is_empty() {
            say(&terminal(chart, width()));
        }
        stdout.write_all(words(range, findings).as_bytes())?;
    }
    Ok(())
}

/// Some of the points, evenly spaced, the last one among them.
fn table(points: &[RatePoint]) -> String {
    let mut table = format!("{:>6}  {:>9}  {:>9}  {:>9}\n", "step", "rate", "loss", "smoothed");
    let every = points.len().div_ceil(ROWS).max(1);
    for (index, point) in points.iter().enumerate() {
        if (index + 1).is_multiple_of(every) || index + 1 == points.len() {
            let RatePoint { step, rate, loss, smoothed } = point;
            let _ = writeln!(table, "{step:>6}  {rate:>9.2e}  {loss:>9.4}  {smoothed:>9.4}");
        }
    }
    table
}

/// What was found, and what to do with it.
fn words(range: RateRange, findings: &RateFindings) -> String {
    let mut lines = Vec::new();
    lines.push(match findings.stop {
        RateStop::Risen { rate } => {
            format!("diverged     {rate:.2e}, where the loss had risen by half of the first loss")
        }
        RateStop::NotFinite { rate: Some(rate) } => {
            format!("diverged     {rate:.2e}, after which the loss was no number")
        }
        RateStop::NotFinite { rate: None } => "diverged     before the first update: the loss is no number".to_string(),
        RateStop::LastRate => format!("diverged     nowhere up to {:.2e}", range.to()),
        RateStop::Interrupted => "stopped before the last rate".to_string(),
    });
    if let Some(lowest) = findings.lowest {
        lines.push(format!("lowest loss  {lowest:.2e}"));
    }
    if let Some(steepest) = findings.steepest {
        lines.push(format!("steepest     {steepest:.2e}, where the loss falls fastest"));
    }
    lines.push(match (findings.suggestion, findings.lowest) {
        (Some(rate), _) => format!("suggestion   {rate:.2e}, a tenth of the rate of the lowest loss"),
        (None, None) => "suggestion   none: the loss never fell; try a smaller `--from`".to_string(),
        (None, Some(lowest)) if lowest / 10.0 < range.from() => {
            "suggestion   none: the loss was lowest near the first rate; try a smaller `--from`".to_string()
        }
        (None, Some(_)) => "suggestion   none: the loss was still falling at the end; try a larger `--to`".to_string(),
    });
    lines.join("\n") + "\n"
}
