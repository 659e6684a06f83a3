//! The results of a race: a table, a CSV file, and pictures.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use anyhow::Context;

use super::results::{final_loss, ranked};
use crate::recorded::{Along, Curve, Group, RecordedRun, chart};
use crate::terminal::{say, width};
use crate::training_display::grouped;
use kiln_figures::{Chart, png, svg, terminal};

/// Writes `race.csv` and the pictures into the race's folder.
pub(super) fn write(folder: &Path, finishes: &[RecordedRun]) -> anyhow::Result<()> {
    let save = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        std::fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
    };
    save("race.csv", &csv(finishes)?)?;
    for (name, chart) in charts(finishes) {
        save(&format!("{name}.svg"), svg(&chart).as_bytes())?;
        save(&format!("{name}.png"), &png(&chart)?)?;
    }
    Ok(())
}

/// The table on stdout; a plot and where the files are on stderr.
pub(super) fn show(folder: &Path, finishes: &[RecordedRun]) -> anyhow::Result<()> {
    if let Some((_, chart)) = charts(finishes).first() {
        say(&terminal(chart, width()));
    }
    std::io::stdout().lock().write_all(table(finishes).as_bytes())?;
    say(&format!("race.csv and pictures are in {}", folder.display()));
    Ok(())
}

/// One row an entrant, as numbers.
fn csv(finishes: &[RecordedRun]) -> anyhow::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([
        "label",
        "folder",
        "steps",
        "diverged_at_step",
        "final_valid_loss",
        "best_valid_loss",
        "final_learning_rate",
        "tokens_per_second",
    ])?;
    let number = |number: Option<f64>| number.map(|number| number.to_string()).unwrap_or_default();
    for finish in finishes {
        writer.write_record([
            finish.name.clone(),
            finish.folder.display().to_string(),
            finish.steps().to_string(),
            finish.diverged.as_ref().map(|diverged| diverged.step.to_string()).unwrap_or_default(),
            number(final_loss(finish)),
            number(finish.best_evaluation().map(|entry| entry.valid_loss)),
            number(finish.final_rate()),
            number(finish.tokens_per_second()),
        ])?;
    }
    Ok(writer.into_inner()?)
}

/// The best first.
fn table(finishes: &[RecordedRun]) -> String {
    let labels = finishes.iter().map(|finish| finish.name.chars().count()).max().unwrap_or(0).max("entrant".len());
    let mut table = format!(
        "{:labels$}  {:>10}  {:>10}  {:>10}  {:>9}\n",
        "entrant", "final loss", "best loss", "final rate", "tokens/s"
    );
    let loss = |loss: Option<f64>| loss.map_or_else(|| "-".to_string(), |loss| format!("{loss:.4}"));
    for finish in ranked(finishes) {
        let rate = finish.final_rate().map_or_else(|| "-".to_string(), |rate| format!("{rate:.2e}"));
        let speed = finish.tokens_per_second().map_or_else(|| "-".to_string(), |speed| grouped(speed as u64));
        let diverged = finish.diverged.as_ref().map(|diverged| format!("  diverged at step {}", diverged.step));
        let _ = writeln!(
            table,
            "{:labels$}  {:>10}  {:>10}  {rate:>10}  {speed:>9}{}",
            finish.name,
            loss(final_loss(finish)),
            loss(finish.best_evaluation().map(|entry| entry.valid_loss)),
            diverged.unwrap_or_default(),
        );
    }
    table
}

/// Validation loss, smoothed training loss and rate over the tokens, each with the name of its files.
fn charts(runs: &[RecordedRun]) -> [(&'static str, Chart); 3] {
    let groups: Vec<Group<'_>> = runs.iter().map(|run| Group { label: run.name.clone(), runs: vec![run] }).collect();
    [("validation-loss", Curve::Validation), ("training-loss", Curve::Training), ("learning-rate", Curve::Rate)]
        .map(|(name, curve)| (name, chart(&groups, curve, Along::Token)))
}
