//! The report of `kiln check` for people.

use kiln_training::config::Config;
use kiln_training::estimate::Estimate;

use super::report::{Report, Time};
use crate::device::Chosen;
use crate::sizes::{bytes, operations};
use crate::training_display::{duration, grouped};

/// The width of the first column.
const LABELS: usize = 12;

/// Lines with a label and what it is.
struct Lines(String);

impl Lines {
    fn add(&mut self, label: &str, what: &str) {
        self.0 += &format!("{label:LABELS$}{what}\n");
    }
}

/// The report, a label and a fact a line.
pub(super) fn describe(report: &Report, config: &Config, device: &Chosen) -> String {
    let is_too_small = report
        .needs
        .as_ref()
        .is_some_and(|needs| device.shortage(&needs.memory, config.run.batch).is_some() || lacks_disk(needs).is_some());
    let verdict = if is_too_small { "is valid, but this machine is too small for it" } else { "is valid" };
    let mut lines = Lines(format!("{} {verdict}\n\n", report.config));
    lines.add("model", report.model);
    match &report.needs {
        Some(needs) => parameters(&mut lines, needs),
        None => lines.add(
            "parameters",
            &format!(
                "{} and {} for each token of the vocabulary",
                grouped(report.fixed_parameters),
                grouped(report.parameters_per_token)
            ),
        ),
    }
    lines.add("vocabulary", &report.vocabulary.to_string());
    lines.add("text", &report.text.to_string());
    let steps = format!(
        "{} in {} steps of {}",
        grouped(config.run.steps.saturating_mul(config.run.tokens_per_step())),
        grouped(config.run.steps),
        grouped(config.run.tokens_per_step())
    );
    let passes = report.passes.map(|passes| format!(", {passes:.2} passes over the text")).unwrap_or_default();
    lines.add("tokens", &format!("{steps}{passes}"));
    match &report.needs {
        Some(needs) => resources(&mut lines, needs, config, device, report.time.as_ref()),
        None => lines.add("", "memory, compute, time and disk follow once the vocabulary is known"),
    }
    for warning in &report.warnings {
        lines.add("warning", warning);
    }
    lines.0
}

/// How much of the disk is free, if that is less than what the checkpoints need.
fn lacks_disk(needs: &Estimate) -> Option<u64> {
    free_bytes().filter(|free| *free < needs.disk_bytes)
}

fn parameters(lines: &mut Lines, needs: &Estimate) {
    lines.add("parameters", &grouped(needs.parameters));
    let width = needs.parts.iter().map(|part| grouped(part.count).len()).max().unwrap_or(0);
    for part in &needs.parts {
        lines.add("", &format!("{:>width$}  {}", grouped(part.count), part.name));
    }
}

fn resources(lines: &mut Lines, needs: &Estimate, config: &Config, device: &Chosen, time: Option<&Time>) {
    let memory = &needs.memory;
    let average = if memory.average > 0 { format!("average {}, ", bytes(memory.average)) } else { String::new() };
    lines.add(
        "memory",
        &format!(
            "about {}: weights {}, gradients {}, optimizer {}, {average}and an estimated {} of activations and {} of \
             overhead",
            bytes(memory.total()),
            bytes(memory.weights),
            bytes(memory.gradients),
            bytes(memory.optimizer),
            bytes(memory.activations),
            bytes(memory.overhead)
        ),
    );
    if let Some(shortage) = device.shortage(memory, config.run.batch) {
        lines.add("", &format!("but {}", shortage.words));
    }
    let per_token = operations(needs.training_flops_per_token as f64);
    lines.add("compute", &format!("{per_token} a token for training, {} in all", operations(needs.training_flops)));
    if let Some(time) = time {
        let [rows, inner, columns] = time.product;
        let speed = operations(time.flops_per_second);
        let expected = if time.seconds < 1.0 {
            "less than a second".to_owned()
        } else {
            format!("about {}", duration(time.seconds))
        };
        let how_well = match device.is_gpu {
            true => "a rough estimate, for it was made for processors:",
            false => "an estimate within a factor of two or so:",
        };
        lines.add("time", &format!("{expected} on {}, {how_well}", device.words()));
        let faster = if device.is_gpu { "" } else { " here; a GPU is faster" };
        let products = format!("products of {rows} x {inner} by {inner} x {columns} run at {speed}/s{faster}");
        lines.add("", &products);
    }
    lines.add(
        "disk",
        &format!(
            "up to {} for checkpoints of {} each (`keep = {}`, the best, and the one being written)",
            bytes(needs.disk_bytes),
            bytes(needs.checkpoint_bytes),
            config.run.keep
        ),
    );
    if let Some(free) = lacks_disk(needs) {
        lines.add("", &format!("but only {} are free in this folder", bytes(free)));
    }
}

/// What is free on the disk of the current folder.
#[cfg(unix)]
fn free_bytes() -> Option<u64> {
    let disk = rustix::fs::statvfs(".").ok()?;
    disk.f_bavail.checked_mul(disk.f_frsize)
}

#[cfg(not(unix))]
fn free_bytes() -> Option<u64> {
    None
}
