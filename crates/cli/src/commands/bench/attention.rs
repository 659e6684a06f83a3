//! `kiln bench attention`: how time and memory of attention grow with the length of the window.

use clap::Args;
use serde::Serialize;

use super::contest::{Contest, Ratio};
use super::limits::is_processor;
use super::measuring::{MeasuringArguments, Setup};
use super::point::{HEADS, Point, Side, WIDTH};
use super::speed::{Cost, Speed};
use super::statistics::{Growth, Line, MEBIBYTE, Sizes};
use super::table::{milliseconds, percent, table};
use crate::device::Chosen;
use crate::terminal::say;
use crate::usage::whole;

const ABOUT_THE_NUMBERS: &str = "\
A forward and a backward pass of causal self-attention, one row of T tokens, 8 heads of 64, with a gradient of ones: \
Kiln's own (fused) and the same composed of Burn's (reference), which holds all scores at once.

ns / T²   time over the square of the length: where arithmetic rules, it stays the same
MiB       the most that a process of its own had in RAM at once during one call, less what it had
          before: what the call needs beside the program and its input. Linux and processors only.
          A side whose process runs out of memory is left out at that length.
bytes/T   that over the length: where memory is a straight line, it becomes the same";

/// Arguments of `kiln bench attention`.
#[derive(Debug, Args)]
#[command(after_help = ABOUT_THE_NUMBERS)]
pub(super) struct AttentionArguments {
    /// Lengths of the window, in tokens
    #[arg(
        long, value_name = "T", value_delimiter = ',', default_values_t = [256, 512, 1024, 2048, 4096],
        value_parser = whole(1..=1_048_576)
    )]
    lengths: Vec<u64>,

    /// The greatest length at which to measure the reference too; it needs some 100 T² bytes
    #[arg(long, value_name = "T", default_value_t = 4096, value_parser = whole(0..=u64::MAX))]
    longest_reference: u64,

    /// Print the memory of one point, measured in this process: the child of the measurement.
    #[arg(long, hide = true, value_name = "POINT")]
    memory_of: Option<Point>,

    #[command(flatten)]
    measuring: MeasuringArguments,
}

/// What a program reads.
#[derive(Debug, Serialize)]
struct Report {
    #[serde(flatten)]
    setup: Setup,
    rows: usize,
    heads: usize,
    head_width: usize,
    results: Vec<AtLength>,
    /// Of the two sides, from the last length but one to the last that were measured.
    fused_growth: Growth,
    reference_growth: Growth,
    /// The fused operation's memory as a straight line of the length.
    fused_memory_line: Option<Line>,
}

/// One length.
#[derive(Debug, Serialize)]
struct AtLength {
    length: u64,
    /// What both sides have to do at least.
    flops: f64,
    fused: Option<Measured>,
    reference: Option<Measured>,
    #[serde(flatten)]
    ratio: Option<Ratio>,
}

/// One side at one length.
#[derive(Debug, Clone, Serialize)]
struct Measured {
    #[serde(flatten)]
    speed: Speed,
    nanoseconds_over_square: f64,
    /// What a call needs beside the program and its input; `None` if unknown.
    memory_bytes: Option<u64>,
    memory_bytes_a_token: Option<f64>,
}

/// One length that is being measured.
struct Candidate {
    length: u64,
    /// What a call of the fused operation and of the reference needs.
    memory: [Option<u64>; 2],
    contest: Contest,
}

/// `kiln bench attention`.
pub(super) fn attention(arguments: &AttentionArguments) -> anyhow::Result<()> {
    let chosen = arguments.measuring.open_device()?;
    if let Some(point) = arguments.memory_of {
        return point.print_memory(&chosen.device);
    }
    let mut lengths = arguments.lengths.clone();
    lengths.sort_unstable();
    lengths.dedup();
    let candidates = lengths.into_iter().map(|length| Candidate::new(length, arguments.longest_reference, &chosen));
    let mut candidates = candidates.collect::<anyhow::Result<Vec<_>>>()?;
    let setup = arguments
        .measuring
        .measure(&chosen, || candidates.iter_mut().try_for_each(|candidate| candidate.contest.round(&chosen.device)))?;
    let results: Vec<_> = candidates.iter().map(|candidate| candidate.measured(&setup)).collect();
    let report = Report {
        setup,
        rows: 1,
        heads: HEADS,
        head_width: WIDTH,
        fused_growth: Growth::of(
            results.iter().filter_map(|result| result.fused.as_ref().map(|it| it.at(result.length))),
        ),
        reference_growth: Growth::of(
            results.iter().filter_map(|result| result.reference.as_ref().map(|it| it.at(result.length))),
        ),
        fused_memory_line: Line::through(
            results
                .iter()
                .filter_map(|result| Some((result.length as f64, result.fused.as_ref()?.memory_bytes? as f64))),
        ),
        results,
    };
    arguments.measuring.print(&report, || words(&report))
}

impl Candidate {
    /// Measures the memory of each side in a process of its own, and warms up the sides that have enough.
    fn new(length: u64, longest_reference: u64, chosen: &Chosen) -> anyhow::Result<Self> {
        let points = [Side::Fused, Side::Reference].map(|side| Point { side, length });
        let mut memory = [None; 2];
        let mut works = [None, None];
        for (index, point) in points.into_iter().enumerate() {
            if point.side == Side::Reference && length > longest_reference {
                continue;
            }
            if is_processor(chosen) {
                match point.memory_apart(&chosen.name) {
                    Ok(bytes) => memory[index] = bytes,
                    Err(how) => {
                        say(&format!("{point} is left out: its process {how}"));
                        continue;
                    }
                }
            }
            works[index] = Some(point.work(&chosen.device));
        }
        let [fused, reference] = works;
        Ok(Self { length, memory, contest: Contest::new(&chosen.device, fused, reference)? })
    }

    fn measured(&self, setup: &Setup) -> AtLength {
        let length = self.length as f64;
        // A query and a key that it sees take two products of the width of a head forward, and four backward.
        let flops = 6.0 * 2.0 * (HEADS * WIDTH) as f64 * length * (length + 1.0) / 2.0;
        // Queries, keys and values twice and their gradients, the output and its gradient.
        let cost = Cost { flops, bytes: 4.0 * 11.0 * (HEADS * WIDTH) as f64 * length };
        let outcome = self.contest.outcome(cost, setup.limits.as_ref());
        let measured = |speed: Speed, memory: Option<u64>| Measured {
            nanoseconds_over_square: 1e6 * speed.median_milliseconds / length.powi(2),
            memory_bytes: memory,
            memory_bytes_a_token: memory.map(|bytes| bytes as f64 / length),
            speed,
        };
        let [fused_memory, reference_memory] = self.memory;
        AtLength {
            length: self.length,
            flops,
            fused: outcome.fused.map(|speed| measured(speed, fused_memory)),
            reference: outcome.reference.map(|speed| measured(speed, reference_memory)),
            ratio: outcome.ratio,
        }
    }
}

impl Measured {
    /// What growth is computed from.
    fn at(&self, length: u64) -> Sizes {
        let memory = self.memory_bytes.map(|bytes| bytes as f64);
        Sizes { length: length as f64, time: self.speed.median_milliseconds, memory }
    }
}

fn words(report: &Report) -> String {
    let headings =
        ["T", "side", "ms", "fastest to slowest", "GFLOP/s", "of matmul", "ns / T²", "MiB", "bytes/T", "ratio"];
    let mut rows = Vec::new();
    for AtLength { length, fused, reference, ratio, .. } in &report.results {
        let ratio = ratio.map(|ratio| ratio.words());
        for (side, measured, ratio) in [("fused", fused, ratio), ("reference", reference, None)] {
            let Some(Measured { speed, nanoseconds_over_square, memory_bytes, memory_bytes_a_token }) = measured else {
                continue;
            };
            let [time, fastest, slowest] =
                [speed.median_milliseconds, speed.fastest_milliseconds, speed.slowest_milliseconds].map(milliseconds);
            let dash = || "-".to_owned();
            let cells = [
                length.to_string(),
                side.to_owned(),
                time,
                format!("{fastest} to {slowest}"),
                format!("{:.1}", speed.flops_per_second / 1e9),
                percent(speed.matmul_fraction),
                format!("{nanoseconds_over_square:.1}"),
                memory_bytes.map_or_else(dash, |bytes| format!("{:.1}", bytes as f64 / MEBIBYTE)),
                memory_bytes_a_token.map_or_else(dash, |bytes| format!("{bytes:.0}")),
            ];
            rows.push(cells.into_iter().chain(ratio).collect());
        }
    }
    let mut text = table(2, &headings, &rows);
    text += &format!("\nms of a forward and a backward pass, the median of {} rounds\n", report.setup.rounds);
    for (side, growth) in [("fused", &report.fused_growth), ("reference", &report.reference_growth)] {
        text += &growth.words(side);
    }
    if let Some(line) = &report.fused_memory_line {
        text += &line.words();
    }
    if let Some(limits) = &report.setup.limits {
        text += &format!("{}\n", limits.words());
    }
    text
}
