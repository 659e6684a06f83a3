//! What an experiment leaves behind: figures, numbers, a report.

use std::path::{Path, PathBuf};

use anyhow::Context;
use kiln_convergence::{CurveOutcome, Estimate, Verdict};
use kiln_storage::{DiskFiles, write_file_atomically};

use super::made::{Drawn, Made};
use super::page;
use super::pictures::{COLUMNS, pictures};
use kiln_figures::{png, png_grid, svg, svg_grid};

/// The name of the report.
pub(super) const REPORT: &str = "report.html";

/// Writes the files of an experiment into `folder`; those of an earlier time are replaced.
pub(super) fn write(folder: &Path, made: Made) -> anyhow::Result<Drawn> {
    let save = |ending: &str, bytes: &[u8]| write_file_atomically(&DiskFiles, &file(folder, &made.name, ending), bytes);
    save(".toml", made.experiment.to_toml().as_bytes())?;
    save(".csv", &paths(&made)?)?;
    save("-summary.csv", &summary(&made)?)?;
    let mut drawn = Vec::new();
    for picture in pictures(&made) {
        let (svg, png) = match &picture.charts[..] {
            [chart] => (svg(chart), png(chart)),
            charts => (svg_grid(charts, COLUMNS, &picture.title), png_grid(charts, COLUMNS, &picture.title)),
        };
        save(&format!("{}.svg", picture.ending), svg.as_bytes())?;
        save(&format!("{}.png", picture.ending), &png?)?;
        drawn.push((picture, svg));
    }
    Ok(Drawn { made, pictures: drawn })
}

/// Writes the report of all experiments.
pub(super) fn write_report(folder: &Path, title: &str, drawn: &[Drawn]) -> anyhow::Result<()> {
    Ok(write_file_atomically(&DiskFiles, &folder.join(REPORT), page::page(title, drawn).html().as_bytes())?)
}

/// Every update of every curve as a line.
fn paths(made: &Made) -> anyhow::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["curve", "update", "error", "half_width", "bound", "exact", "rate"])?;
    for curve in &made.outcome.curves {
        for (t, band) in curve.trace.error.iter().enumerate() {
            writer.write_record([
                curve.label.clone(),
                t.to_string(),
                band.mean.to_string(),
                band.half_width.to_string(),
                text(curve.bound.as_ref().ok().map(|bound| bound.at(t as u64))),
                text(curve.exact.as_ref().map(|exact| exact[t])),
                text(curve.trace.rates.get(t).copied()),
            ])?;
        }
    }
    writer.into_inner().context("the numbers could not be put together")
}

/// The columns of the summary, in its order.
const SUMMARY: [&str; 19] = [
    "curve",
    "repeats",
    "strong_convexity",
    "smoothness",
    "minimum",
    "minimizer",
    "minimizer_error",
    "variance",
    "factor_per_step",
    "factor_per_step_error",
    "factor_per_step_exact",
    "floor",
    "floor_error",
    "floor_exact",
    "floor_bound",
    "exponent",
    "exponent_error",
    "verdict",
    "bound_over_error",
];

/// Constants, fits and verdict of every curve as a line, with all digits.
fn summary(made: &Made) -> anyhow::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(SUMMARY)?;
    for curve in &made.outcome.curves {
        writer.write_record(summary_of(curve))?;
    }
    writer.into_inner().context("the summary could not be put together")
}

fn summary_of(curve: &CurveOutcome) -> [String; SUMMARY.len()] {
    let known = curve.constants.as_ref();
    let value = |estimate: Option<Estimate>| text(estimate.map(|estimate| estimate.value));
    let error = |estimate: Option<Estimate>| text(estimate.map(|estimate| estimate.error));
    let minimizer = known.map(|known| known.minimizer.iter().map(f64::to_string).collect::<Vec<_>>().join(" "));
    let (verdict, tightness) = match &curve.verdict {
        Verdict::Holds { tightness, .. } => ("holds", Some(*tightness)),
        Verdict::Broken { .. } => ("broken", None),
        Verdict::NoTheorem => ("no theorem", None),
        Verdict::Diverged { .. } => ("diverged", None),
    };
    [
        curve.label.clone(),
        curve.trace.repeats.to_string(),
        text(known.map(|known| known.strong_convexity)),
        text(known.map(|known| known.smoothness)),
        text(known.map(|known| known.minimum)),
        minimizer.unwrap_or_default(),
        text(known.map(|known| known.minimizer_error)),
        text(curve.trace.variance),
        value(curve.rate_per_step),
        error(curve.rate_per_step),
        text(curve.exact_rate_per_step),
        value(curve.floor),
        error(curve.floor),
        text(curve.exact_floor),
        text(curve.bound_floor()),
        value(curve.exponent),
        error(curve.exponent),
        verdict.to_string(),
        text(tightness),
    ]
}

/// A number with all its digits, or nothing.
fn text(value: Option<f64>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

/// Where a file of an experiment goes.
fn file(folder: &Path, name: &str, ending: &str) -> PathBuf {
    folder.join(format!("{name}{ending}"))
}
