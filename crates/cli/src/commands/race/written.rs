//! The results of a race: a table, a CSV file, and pictures.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use anyhow::Context;

use super::results::{Finish, ranked};
use crate::terminal::{say, width};
use crate::training_display::grouped;
use kiln_figures::{Axis, Chart, Series, png, svg, terminal};

/// Writes `race.csv` and the pictures into the race's folder.
pub(super) fn write(folder: &Path, finishes: &[Finish]) -> anyhow::Result<()> {
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
pub(super) fn show(folder: &Path, finishes: &[Finish]) -> anyhow::Result<()> {
    if let Some((_, chart)) = charts(finishes).first() {
        say(&terminal(chart, width()));
    }
    std::io::stdout().lock().write_all(table(finishes).as_bytes())?;
    say(&format!("race.csv and pictures are in {}", folder.display()));
    Ok(())
}

/// One row an entrant, as numbers.
fn csv(finishes: &[Finish]) -> anyhow::Result<Vec<u8>> {
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
            finish.label.clone(),
            finish.folder.display().to_string(),
            finish.steps().to_string(),
            finish.diverged.as_ref().map(|diverged| diverged.step.to_string()).unwrap_or_default(),
            number(finish.final_loss()),
            number(finish.best_loss()),
            number(finish.final_rate()),
            number(finish.tokens_per_second()),
        ])?;
    }
    Ok(writer.into_inner()?)
}

/// The best first.
fn table(finishes: &[Finish]) -> String {
    let labels = finishes.iter().map(|finish| finish.label.chars().count()).max().unwrap_or(0).max("entrant".len());
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
            finish.label,
            loss(finish.final_loss()),
            loss(finish.best_loss()),
            diverged.unwrap_or_default(),
        );
    }
    table
}

/// Validation loss, smoothed training loss and rate over the tokens, each with the name of its files.
fn charts(finishes: &[Finish]) -> [(&'static str, Chart); 3] {
    // A loss above that of the untrained model says no more than that the entrant is lost.
    let first_losses = finishes.iter().filter_map(|finish| finish.metrics.steps.first());
    let ceiling = first_losses.map(|entry| entry.train_loss).fold(f64::NEG_INFINITY, f64::max);
    let chart = |title: &str, unit: &str, curve: fn(&Finish) -> Vec<(f64, f64)>, is_loss: bool| {
        let curves = finishes.iter().enumerate();
        let series: Vec<Series> =
            curves.map(|(index, finish)| Series::curve(&finish.label, index, curve(finish))).collect();
        let mut y = Axis::linear(unit);
        if is_loss {
            y.range = shown(&series, ceiling);
        }
        Chart { title: title.to_string(), x: Axis::linear("tokens"), y, series, note: None }
    };
    [
        ("validation-loss", chart("Validation loss", "nats per token", Finish::validation_curve, true)),
        ("training-loss", chart("Training loss, smoothed", "nats per token", Finish::training_curve, true)),
        ("learning-rate", chart("Learning rate", "rate", Finish::rate_curve, false)),
    ]
}

/// From the lowest value to the highest one that is not above the ceiling; `None` where nothing is above it.
fn shown(series: &[Series], ceiling: f64) -> Option<(f64, f64)> {
    let values = || series.iter().flat_map(|series| &series.points).map(|(_, value)| *value);
    let lowest = values().fold(f64::INFINITY, f64::min);
    let highest = values().fold(f64::NEG_INFINITY, f64::max);
    (highest > ceiling && lowest < ceiling).then_some((lowest, ceiling))
}
