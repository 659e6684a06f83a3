//! `kiln bench kernels`: single operations, Kiln's own beside the same composed of Burn's.

use std::time::Duration;

use burn::tensor::{Device, Distribution, Tensor};
use clap::Args;
use serde::Serialize;

use super::speed::{Cost, Speed};
use super::stopwatch::{Kept, Work, calls_in, seconds_a_call};
use super::table::{SPEED_HEADINGS, speed_cells, table};
use super::{MeasuringArguments, Setup};
use crate::exit::UsageError;

/// How long one side of one operation takes in a round, about.
const ROUND: Duration = Duration::from_millis(40);

const ABOUT_THE_NUMBERS: &str = "\
Each operation is called as often as takes about 40 ms, Kiln's own (fused) and the same composed of
Burn's (reference) in turns, round after round. A call is waited for, which on a GPU costs some tens
of microseconds.

GFLOP/s  the arithmetic that the operation has to do, a multiplication with its addition counted as
         two
GB/s     the numbers that it has to read and write at least; tensors that stay in a cache can come
         faster than a copy
ratio    time of the reference over that of the fused operation";

/// Arguments of `kiln bench kernels`.
#[derive(Debug, Args)]
#[command(after_help = ABOUT_THE_NUMBERS)]
pub(super) struct KernelsArguments {
    /// Only operations whose name contains this text; may be repeated
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,

    #[command(flatten)]
    measuring: MeasuringArguments,
}

/// An operation of one size.
pub(super) struct Kernel {
    /// What it is, the same for all sizes.
    pub(super) name: &'static str,
    /// The sizes of its tensors, for a person.
    pub(super) shape: String,
    /// Kiln's own; nothing where Kiln has none.
    pub(super) fused: Option<Work<'static>>,
    /// The same composed of Burn's operations.
    pub(super) reference: Work<'static>,
    /// What a call of either has to do at least.
    pub(super) cost: Cost,
}

/// What a program reads.
#[derive(Debug, Serialize)]
struct Report {
    #[serde(flatten)]
    setup: Setup,
    results: Vec<Timed>,
}

/// An operation with its times.
#[derive(Debug, Serialize)]
struct Timed {
    name: &'static str,
    shape: String,
    flops: f64,
    bytes: f64,
    fused: Option<Speed>,
    reference: Speed,
    /// Time of the reference over that of the fused operation.
    ratio: Option<f64>,
}

/// One of the two sides of an operation.
struct Side {
    work: Work<'static>,
    calls: u32,
    /// Seconds a call took, by rounds.
    seconds: Vec<f64>,
}

/// `kiln bench kernels`.
pub(super) fn kernels(arguments: &KernelsArguments) -> anyhow::Result<()> {
    let chosen = arguments.measuring.open_device()?;
    let device = &chosen.device;
    let mut contests = Vec::new();
    for kernel in wanted(arguments, device)? {
        let fused = kernel.fused.map(|work| Side::new(device, work)).transpose()?;
        let reference = Side::new(device, kernel.reference)?;
        contests.push((kernel.name, kernel.shape, kernel.cost, fused, reference));
    }
    let setup = arguments.measuring.measure(&chosen, || {
        for (.., fused, reference) in &mut contests {
            fused.iter_mut().chain([reference]).try_for_each(|side| side.round(device))?;
        }
        Ok(())
    })?;
    let results = contests.into_iter().map(|(name, shape, cost, fused, reference)| {
        let speed = |side: &Side| Speed::new(&side.seconds, cost, setup.limits.as_ref());
        let (fused, reference) = (fused.as_ref().map(speed), speed(&reference));
        let ratio = fused.as_ref().map(|fused| reference.median_milliseconds / fused.median_milliseconds);
        Timed { name, shape, flops: cost.flops, bytes: cost.bytes, fused, reference, ratio }
    });
    let results = results.collect();
    let report = Report { setup, results };
    arguments.measuring.print(&report, || words(&report))
}

/// Every operation that is timed.
fn all(device: &Device) -> Vec<Kernel> {
    let mut kernels: Vec<Kernel> = [512, 1024].map(|side| product(device, side)).into();
    kernels.push(copy(device, 1 << 24));
    kernels
}

/// A product of two square matrices.
fn product(device: &Device, side: usize) -> Kernel {
    let matrix = || Tensor::<2>::random([side, side], Distribution::Uniform(-1.0, 1.0), device);
    let (left, right) = (matrix(), matrix());
    let numbers = (side * side) as f64;
    Kernel {
        name: "matmul",
        shape: format!("{side} x {side}"),
        fused: None,
        reference: Box::new(move || -> Kept { Box::new(left.clone().matmul(right.clone())) }),
        cost: Cost { flops: 2.0 * numbers * side as f64, bytes: 3.0 * 4.0 * numbers },
    }
}

/// An element-wise operation that does as little as there is to do: every number read, and one written for it.
fn copy(device: &Device, numbers: usize) -> Kernel {
    let source = Tensor::<1>::random([numbers], Distribution::Uniform(-1.0, 1.0), device);
    Kernel {
        name: "copy (x + 1)",
        shape: numbers.to_string(),
        fused: None,
        reference: Box::new(move || -> Kept { Box::new(source.clone().add_scalar(1.0)) }),
        cost: Cost { flops: numbers as f64, bytes: 2.0 * 4.0 * numbers as f64 },
    }
}

/// The operations that were asked for.
fn wanted(arguments: &KernelsArguments, device: &Device) -> Result<Vec<Kernel>, UsageError> {
    let is_wanted =
        |kernel: &Kernel| arguments.only.is_empty() || arguments.only.iter().any(|text| kernel.name.contains(text));
    let (wanted, others): (Vec<_>, Vec<_>) = all(device).into_iter().partition(is_wanted);
    if wanted.is_empty() {
        let mut names: Vec<_> = others.iter().map(|kernel| kernel.name).collect();
        names.dedup();
        let asked = arguments.only.join(" ");
        return Err(UsageError(format!("--only {asked}: no operation is called so; there are {}", names.join(", "))));
    }
    Ok(wanted)
}

impl Side {
    fn new(device: &Device, mut work: Work<'static>) -> anyhow::Result<Self> {
        let calls = calls_in(device, ROUND, &mut work)?;
        Ok(Self { work, calls, seconds: Vec::new() })
    }

    fn round(&mut self, device: &Device) -> anyhow::Result<()> {
        self.seconds.push(seconds_a_call(device, self.calls, &mut self.work)?);
        Ok(())
    }
}

fn words(report: &Report) -> String {
    let headings = [&["operation", "shape", "side"][..], &SPEED_HEADINGS, &["ratio"]].concat();
    let mut rows = Vec::new();
    for timed in &report.results {
        let ratio = timed.ratio.map(|ratio| format!("{ratio:.2}"));
        let sides = [("fused", timed.fused.as_ref(), ratio), ("reference", Some(&timed.reference), None)];
        for (side, speed, ratio) in sides {
            if let Some(speed) = speed {
                let first = [timed.name.to_owned(), timed.shape.clone(), side.to_owned()];
                let cells = first.into_iter().chain(speed_cells(speed)).chain(ratio);
                rows.push(cells.collect());
            }
        }
    }
    let mut text = table(3, &headings, &rows);
    text += &format!("\nms of a call, the median of {} rounds\n", report.setup.rounds);
    if let Some(limits) = &report.setup.limits {
        text += &format!("{}\n", limits.words());
    }
    text
}
