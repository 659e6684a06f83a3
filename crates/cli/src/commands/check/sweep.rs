//! The report of a sweep or a race: an entrant a row, and all of it together.

use annotate_snippets::normalize_untrusted_str;
use comfy_table::{ContentArrangement, Table, presets};
use kiln_training::config::{Search, Sweep};
use kiln_training::sweep::Halving;
use serde::Serialize;

use super::report::Report;
use crate::sizes::bytes;
use crate::training_display::{duration, grouped};

/// What a sweep would need.
#[derive(Debug, Serialize)]
pub(super) struct SweepReport {
    config: String,
    /// What the time is that of, in words.
    #[serde(skip)]
    device: &'static str,
    search: &'static str,
    /// Runs to their end, or those that are begun where halving leaves some behind.
    runs: usize,
    /// Of all runs, where every vocabulary is known.
    seconds: Option<f64>,
    disk_bytes: Option<u64>,
    entrants: Vec<EntrantReport>,
}

#[derive(Debug, Serialize)]
struct EntrantReport {
    label: String,
    #[serde(flatten)]
    needs: Report,
    steps: u64,
}

impl SweepReport {
    /// `reports` are those of the entrants' configurations.
    pub(super) fn new(config: String, device: &'static str, sweep: &Sweep, reports: Vec<Report>) -> Self {
        let seeds = sweep.settings.seeds as f64;
        let seconds = reports.iter().map(|report| Some(report.time.as_ref()?.seconds)).sum::<Option<f64>>();
        let bytes = reports.iter().map(|report| Some(report.needs.as_ref()?.disk_bytes)).sum::<Option<u64>>();
        let entrants = sweep.entrants.iter().zip(reports).map(|(entrant, needs)| {
            let (label, steps) = (entrant.label.clone(), entrant.config.run.steps);
            EntrantReport { label, needs, steps }
        });
        Self {
            config,
            device,
            search: sweep.settings.search.name(),
            runs: sweep.runs().len(),
            seconds: seconds.map(|seconds| seconds * seeds * share_trained(sweep)),
            disk_bytes: bytes.map(|bytes| bytes.saturating_mul(sweep.settings.seeds)),
            entrants: entrants.collect(),
        }
    }

    /// For people.
    pub(super) fn words(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::ASCII_MARKDOWN).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(["entrant", "model", "parameters", "steps", "memory", "time of one run"]);
        for EntrantReport { label, needs: report, steps } in &self.entrants {
            let memory = report.needs.as_ref().map(|needs| format!("about {}", bytes(needs.memory.total())));
            let time = report.time.as_ref().map(|time| format!("about {}", duration(time.seconds)));
            table.add_row([
                normalize_untrusted_str(label),
                report.model.to_owned(),
                report.parameters.map(grouped).unwrap_or_default(),
                grouped(*steps),
                memory.unwrap_or_default(),
                time.unwrap_or_default(),
            ]);
        }
        let (entrants, runs) = (self.entrants.len(), self.runs);
        let time = self.seconds.map(|seconds| format!(", about {} in all on {}", duration(seconds), self.device));
        let disk = self.disk_bytes.map(|disk| format!(", up to {} of checkpoints", bytes(disk)));
        let (time, disk) = (time.unwrap_or_default(), disk.unwrap_or_default());
        format!("{} is valid: {entrants} entrants, {runs} runs{time}{disk}\n\n{table}\n", self.config)
    }
}

/// The part of all steps that is made: with halving most runs end early.
fn share_trained(sweep: &Sweep) -> f64 {
    let entrants = sweep.entrants.len();
    if sweep.settings.search != Search::Halving {
        return 1.0;
    }
    let halving = Halving::new(entrants, sweep.settings.reduction_factor);
    let run = &sweep.entrants[0].config.run;
    let (mut made, mut before) = (0, 0);
    for rung in 0..halving.rungs() {
        let steps = halving.steps(run, rung);
        made += (steps - before) * halving.taking_part(rung) as u64;
        before = steps;
    }
    made as f64 / (entrants as u64 * run.steps).max(1) as f64
}
