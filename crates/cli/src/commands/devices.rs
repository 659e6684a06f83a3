//! `kiln devices`: what is here, what works, how fast, and what `auto` picks.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use crate::device::{Depth, DeviceEntry, Listing, Trial, list, not_compiled_in, pick, probe_here, try_apart, try_here};

const ABOUT_THE_NAMES: &str = "\
The first column is what to write after --device. `wgpu` alone is `wgpu:0`; `vulkan:N` is `wgpu:N` where Vulkan drives \
it. `wgpu:software` is a driver that computes on the processor, for tests of the shaders; `auto` never takes it. \
Drivers are asked in processes of their own; each may take KILN_DEVICE_TIMEOUT seconds.";

/// List the devices of this machine and try a small matrix product on each.
#[derive(Debug, clap::Args)]
#[command(after_help = ABOUT_THE_NAMES)]
pub(crate) struct DevicesArguments {
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
    /// Ask the graphics drivers in this process and print what they answer: the child of the listing.
    #[arg(long, hide = true)]
    probe: bool,
    /// Try one listed device in this process: the child of a trial.
    #[arg(long = "try", hide = true, value_name = "ENTRY")]
    try_entry: Option<String>,
    /// With --try: only whether it computes at all.
    #[arg(long, hide = true)]
    quick: bool,
}

/// A listed device and how its trial went.
#[derive(Debug, Serialize)]
struct Tried {
    #[serde(flatten)]
    entry: DeviceEntry,
    #[serde(flatten)]
    trial: Trial,
}

/// Everything the command found out.
#[derive(Debug, Serialize)]
struct Report {
    devices: Vec<Tried>,
    /// What `--device auto` opens.
    auto: Auto,
    /// Backends that are cargo features and not part of this build.
    not_compiled_in: Vec<&'static str>,
    /// Why GPUs may be missing from the list.
    problem: Option<String>,
}

#[derive(Debug, Serialize)]
struct Auto {
    device: String,
    reason: String,
}

/// Runs the command.
///
/// # Errors
/// Only if stdout cannot be written: a device that does not work is a line of the table.
pub(crate) fn devices(arguments: &DevicesArguments) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    if arguments.probe {
        serde_json::to_writer(&mut stdout, &probe_here())?;
    } else if let Some(entry) = &arguments.try_entry {
        let depth = if arguments.quick { Depth::Quick } else { Depth::Full };
        serde_json::to_writer(&mut stdout, &try_here(&serde_json::from_str(entry)?, depth))?;
    } else if arguments.json {
        serde_json::to_writer_pretty(&mut stdout, &report())?;
        writeln!(stdout)?;
    } else {
        stdout.write_all(table(&report()).as_bytes())?;
    }
    Ok(stdout.flush()?)
}

/// Lists and tries all devices, one after the other so that none slows another down.
fn report() -> Report {
    let listing = list();
    let mut devices = Vec::new();
    for entry in listing.entries.clone() {
        say_what_takes_time(&entry);
        let trial = try_apart(&entry, Depth::Full);
        devices.push(Tried { entry, trial });
    }
    let auto = auto(&listing, &devices);
    Report { devices, auto, not_compiled_in: not_compiled_in(), problem: listing.problem }
}

/// A first product on a GPU can take a minute, so a terminal shows what is being tried.
fn say_what_takes_time(entry: &DeviceEntry) {
    let mut stderr = io::stderr();
    if stderr.is_terminal() {
        // Nothing depends on this line.
        let _ = writeln!(stderr, "trying {} ({entry})", entry.device);
    }
}

/// What `auto` picks, by the trials that were just made.
fn auto(listing: &Listing, devices: &[Tried]) -> Auto {
    let (entry, reason) = pick(listing, |gpu| {
        let tried = devices.iter().find(|tried| tried.entry == *gpu);
        tried.map_or(Trial::Fails { problem: "not tried".to_owned() }, |tried| tried.trial.clone())
    });
    Auto { device: entry.device, reason }
}

/// The report for people.
fn table(report: &Report) -> String {
    let mut rows = vec![["device", "what", "memory", "512 x 512 product"].map(str::to_owned)];
    rows.extend(report.devices.iter().map(row));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2)];
    let mut text = String::new();
    for [device, what, memory, product] in &rows {
        let [first, second, third] = widths;
        text += &format!("{device:first$}  {what:second$}  {memory:>third$}  {product}\n");
    }
    for tried in &report.devices {
        if let Trial::Works { abilities, .. } = &tried.trial
            && !abilities.is_empty()
        {
            text += &format!("\n{}:\n", tried.entry.device);
            text.extend(abilities.iter().map(|fact| format!("  {fact}\n")));
        }
    }
    text += &format!("\nauto picks {}: {}\n", report.auto.device, report.auto.reason);
    if let Some(problem) = &report.problem {
        text += &format!("the GPUs of this machine could not be listed: {problem}\n");
    }
    if !report.not_compiled_in.is_empty() {
        text += &format!("not part of this build (cargo features): {}\n", report.not_compiled_in.join(", "));
    }
    text
}

fn row(tried: &Tried) -> [String; 4] {
    let memory = tried.entry.memory_bytes.map_or("?".to_owned(), gibibytes);
    let product = match &tried.trial {
        Trial::Works { first_seconds, gigaflops, .. } => {
            let speed = gigaflops.map_or(String::new(), |speed| format!("{speed:.0} GFLOP/s, "));
            format!("works: {speed}first result after {first_seconds:.2} s")
        }
        Trial::Fails { problem } => format!("fails: {problem}"),
    };
    [tried.entry.device.clone(), tried.entry.to_string(), memory, product]
}

fn gibibytes(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / (1u64 << 30) as f64)
}
