//! What an experiment leaves behind: figures, numbers, a report.

use std::path::{Path, PathBuf};

use anyhow::Context;
use kiln_convergence::{Agreement, Bound, CurveOutcome, Fit, Verdict};
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
    if made.experiment.sharpness_every.is_some() {
        save("-sharpness.csv", &sharpness(&made)?)?;
    }
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

/// Every evaluated update of every curve as a line; `half_width` is that of the 95 % interval.
fn paths(made: &Made) -> anyhow::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["curve", "update", "error", "half_width", "bound", "exact", "rate"])?;
    for curve in &made.outcome.curves {
        for (index, (t, band)) in curve.trace.times.iter().zip(&curve.trace.error).enumerate() {
            writer.write_record([
                curve.label.clone(),
                t.to_string(),
                band.mean.to_string(),
                band.half_width.to_string(),
                text(curve.bound.as_ref().ok().filter(|bound| bound.covers(*t)).map(|bound| bound.at(*t))),
                text(curve.exact.as_ref().map(|exact| exact[index])),
                text(curve.trace.rates.get(*t as usize).copied()),
            ])?;
        }
    }
    writer.into_inner().context("the numbers could not be put together")
}

/// The sharpness of every curve, where it was measured, with the rate of that update.
fn sharpness(made: &Made) -> anyhow::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["curve", "update", "sharpness", "rate"])?;
    for curve in &made.outcome.curves {
        for (t, sharpness) in &curve.trace.sharpness {
            let rate = text(curve.trace.rates.get(*t as usize).copied());
            writer.write_record([curve.label.clone(), t.to_string(), sharpness.to_string(), rate])?;
        }
    }
    writer.into_inner().context("the sharpness could not be put together")
}

/// The columns of the summary, in its order. A fit has four: its value, the half-width of its 95 % interval, the same
/// fit to the exact expectation, and what theory says it becomes in the end.
const SUMMARY: [&str; 25] = [
    "curve",
    "repeats",
    "strong_convexity",
    "smoothness",
    "minimum",
    "minimizer",
    "minimizer_error",
    "variance",
    "stability_limit",
    "factor_per_step",
    "factor_per_step_half_width",
    "factor_per_step_exact",
    "factor_per_step_limit",
    "floor",
    "floor_half_width",
    "floor_exact",
    "floor_limit",
    "floor_bound",
    "exponent",
    "exponent_half_width",
    "exponent_exact",
    "exponent_limit",
    "verdict",
    "bound_over_error",
    "agreement",
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

fn summary_of(curve: &CurveOutcome) -> Vec<String> {
    let known = curve.constants.as_ref();
    let minimizer = known.map(|known| known.minimizer.iter().map(f64::to_string).collect::<Vec<_>>().join(" "));
    let (verdict, tightness) = match &curve.verdict {
        Verdict::Holds { tightness, .. } => ("holds", Some(*tightness)),
        Verdict::Broken { .. } => ("broken", None),
        Verdict::TooFewRepeats => ("too few repeats", None),
        Verdict::NoTheorem => (of_gradients(curve), None),
        Verdict::Diverged { .. } => ("diverged", None),
    };
    let agreement = match &curve.agreement {
        None => "",
        Some(Agreement::Agrees) => "agrees",
        Some(Agreement::Differs { .. }) => "differs",
        Some(Agreement::TooFewRepeats) => "too few repeats",
        Some(Agreement::HeavyTail) => "heavy tail",
    };
    let mut fields = vec![
        curve.label.clone(),
        curve.trace.repeats.to_string(),
        text(known.map(|known| known.strong_convexity)),
        text(known.map(|known| known.smoothness)),
        text(known.map(|known| known.minimum)),
        minimizer.unwrap_or_default(),
        text(known.map(|known| known.minimizer_error)),
        text(curve.trace.variance),
        text(curve.stability_limit),
    ];
    fields.extend(fit(curve.factor_per_step));
    fields.extend(fit(curve.floor));
    fields.push(text(curve.bound.as_ref().ok().and_then(Bound::floor)));
    fields.extend(fit(curve.exponent));
    fields.extend([verdict.to_string(), text(tightness), agreement.to_string()]);
    fields
}

/// The verdict where no theorem bounds F - F*.
fn of_gradients(curve: &CurveOutcome) -> &'static str {
    match curve.stationarity.as_ref().and_then(|found| found.as_ref().ok()) {
        Some(found) if found.is_known => {
            if found.holds {
                "holds"
            } else {
                "broken"
            }
        }
        Some(found) => {
            if found.holds {
                "consistent"
            } else {
                "inconsistent"
            }
        }
        None => "no theorem",
    }
}

/// The four columns of a fit.
fn fit(fit: Option<Fit>) -> [String; 4] {
    let field = |of: fn(Fit) -> Option<f64>| text(fit.and_then(of));
    [field(|fit| Some(fit.value)), field(|fit| fit.half_width), field(|fit| fit.exact), field(|fit| fit.limit)]
}

/// A number with all its digits, or nothing.
fn text(value: Option<f64>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

/// Where a file of an experiment goes.
fn file(folder: &Path, name: &str, ending: &str) -> PathBuf {
    folder.join(format!("{name}{ending}"))
}
