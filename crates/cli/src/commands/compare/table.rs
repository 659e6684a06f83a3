//! Runs side by side: the settings that differ, and what came out.

use std::collections::BTreeMap;
use std::io::Write as _;

use annotate_snippets::normalize_untrusted_str;
use comfy_table::{ContentArrangement, Table, presets};
use kiln_training::config::{Config, differences};
use serde::Serialize;
use serde_json::Value;

use crate::recorded::{Measure, RecordedRun};
use crate::training_display::{duration, grouped};

/// A column a run, a row a setting or a result.
pub(super) fn print(runs: &[RecordedRun]) -> anyhow::Result<()> {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(std::iter::once("").chain(runs.iter().map(|run| run.name.as_str())));
    let configs: Vec<&Config> = runs.iter().map(|run| &run.config).collect();
    for difference in differences(&configs) {
        let words = (0..runs.len()).map(|index| normalize_untrusted_str(&difference.words(index)));
        table.add_row(std::iter::once(difference.key.clone()).chain(words));
    }
    let mut row = |name: &str, cell: &dyn Fn(&RecordedRun) -> String| {
        table.add_row(std::iter::once(name.to_owned()).chain(runs.iter().map(cell)));
    };
    row("parameters", &|run| run.parameters.map(grouped).unwrap_or_default());
    row("steps", &|run| of_steps(run));
    row("tokens", &|run| grouped(run.tokens()));
    row("training", &|run| duration(run.seconds()));
    row("tokens/s", &|run| run.tokens_per_second().map(|speed| grouped(speed as u64)).unwrap_or_default());
    let best = best(runs);
    let marked = |run: &RecordedRun| if best.is_some_and(|best| std::ptr::eq(best, run)) { " *" } else { "" };
    let four = |value: Option<f64>| value.map(|value| format!("{value:.4}")).unwrap_or_default();
    row("last nats/token", &|run| four(run.last_evaluation().map(|entry| entry.valid_loss)));
    row("best nats/token", &|run| {
        let best = run.best_evaluation().map(|entry| entry.valid_loss);
        four(best) + marked(run)
    });
    row("best bits/byte", &|run| four(run.best_evaluation().map(|entry| entry.bits_per_byte)));
    row("at step", &|run| run.best_evaluation().map(|entry| grouped(entry.step)).unwrap_or_default());
    let mut stdout = std::io::stdout().lock();
    Ok(writeln!(stdout, "{table}")?)
}

/// Steps made, of those to make where it isn't done, and a divergence.
fn of_steps(run: &RecordedRun) -> String {
    let (made, all) = (run.steps(), run.config.run.steps);
    match &run.diverged {
        Some(diverged) => format!("diverged at {}", grouped(diverged.step)),
        None if made < all => format!("{} of {}", grouped(made), grouped(all)),
        None => grouped(made),
    }
}

/// The run with the lowest loss, where losses are there.
fn best(runs: &[RecordedRun]) -> Option<&RecordedRun> {
    let measure = Measure::of(runs);
    let loss = |run: &RecordedRun| run.best_evaluation().map(|entry| measure.loss(entry));
    let with_loss = runs.iter().filter_map(|run| Some((run, loss(run)?)));
    with_loss.min_by(|left, right| left.1.total_cmp(&right.1)).map(|(run, _)| run)
}

/// The same for programs.
#[derive(Serialize)]
struct Comparison<'a> {
    runs: Vec<Results<'a>>,
    /// The values of each setting that differs, in the order of the runs.
    differences: BTreeMap<String, Vec<Value>>,
}

#[derive(Serialize)]
struct Results<'a> {
    name: &'a str,
    folder: String,
    parameters: Option<u64>,
    steps: u64,
    tokens: u64,
    seconds: f64,
    tokens_per_second: Option<f64>,
    diverged_at_step: Option<u64>,
    last_valid_loss: Option<f64>,
    best_valid_loss: Option<f64>,
    best_bits_per_byte: Option<f64>,
    best_step: Option<u64>,
}

pub(super) fn print_json(runs: &[RecordedRun]) -> anyhow::Result<()> {
    let results = |run: &'_ RecordedRun| {
        let best = run.best_evaluation();
        (run.folder.display().to_string(), best.map(|entry| (entry.valid_loss, entry.bits_per_byte, entry.step)))
    };
    let configs: Vec<&Config> = runs.iter().map(|run| &run.config).collect();
    let mut differing = BTreeMap::new();
    for difference in differences(&configs) {
        let values: Vec<Value> = difference.values.iter().map(serde_json::to_value).collect::<Result<_, _>>()?;
        differing.insert(difference.key, values);
    }
    let runs = runs.iter().map(|run| {
        let (folder, best) = results(run);
        Results {
            name: &run.name,
            folder,
            parameters: run.parameters,
            steps: run.steps(),
            tokens: run.tokens(),
            seconds: run.seconds(),
            tokens_per_second: run.tokens_per_second(),
            diverged_at_step: run.diverged.as_ref().map(|diverged| diverged.step),
            last_valid_loss: run.last_evaluation().map(|entry| entry.valid_loss),
            best_valid_loss: best.map(|(loss, ..)| loss),
            best_bits_per_byte: best.map(|(_, bits, _)| bits),
            best_step: best.map(|(.., step)| step),
        }
    });
    let comparison = Comparison { runs: runs.collect(), differences: differing };
    let mut stdout = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut stdout, &comparison)?;
    Ok(writeln!(stdout)?)
}
