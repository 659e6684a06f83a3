//! What every kind of `kiln bench` has in common: its arguments, its rounds, the beginning of its report.

use std::io::Write;

use clap::Args;
use serde::Serialize;

use super::limits::{self, Limits};
use crate::arguments::DeviceArguments;
use crate::device::Chosen;
use crate::terminal::progress_bar;
use crate::usage::whole;

/// What all of them take.
#[derive(Debug, Args)]
pub(super) struct MeasuringArguments {
    /// Rounds, of which the median counts
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = whole(1..=100_000))]
    rounds: u64,

    #[command(flatten)]
    device: DeviceArguments,

    /// Leave out the machine's limits: its matrix product and its copy, measured before and after the rounds
    #[arg(long)]
    no_limits: bool,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What every report begins with.
#[derive(Debug, Serialize)]
pub(super) struct Setup {
    pub(super) kiln: &'static str,
    pub(super) device: String,
    pub(super) device_description: String,
    pub(super) rounds: u64,
    /// `None` if they were left out.
    pub(super) limits: Option<Limits>,
}

impl MeasuringArguments {
    /// Opens the device and says which one it is.
    pub(super) fn open_device(&self) -> anyhow::Result<Chosen> {
        Ok(self.device.open()?)
    }

    /// Calls `round` once a round, between two readings of the machine's limits.
    pub(super) fn measure(
        &self,
        chosen: &Chosen,
        mut round: impl FnMut() -> anyhow::Result<()>,
    ) -> anyhow::Result<Setup> {
        let read = || (!self.no_limits).then(|| limits::read(chosen)).transpose();
        let before = read()?;
        let bar = progress_bar(self.rounds, "round {pos}/{len} [{bar:30}] {eta}");
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

    /// Writes the report to stdout, as JSON or in words.
    pub(super) fn print(&self, report: &impl Serialize, words: impl FnOnce() -> String) -> anyhow::Result<()> {
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
