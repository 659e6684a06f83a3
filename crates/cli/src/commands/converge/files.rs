//! What an experiment leaves behind: figures, numbers, a report.

use std::fs::File;
use std::path::Path;

use anyhow::Context;
use kiln_models::saved::write_file_atomically;

use super::pictures::{COLUMNS, Picture, pictures};
use super::{Made, file, page};
use crate::figures::{png, png_grid, svg, svg_grid};

/// The name of the report.
pub(super) const REPORT: &str = "report.html";

/// Writes everything into `folder`; files of an earlier time are replaced.
pub(super) fn write(folder: &Path, title: &str, made: &[Made]) -> anyhow::Result<()> {
    let mut drawn = Vec::new();
    for made in made {
        write_numbers(&file(folder, &made.name, ".csv"), made)?;
        write_file_atomically(&file(folder, &made.name, ".toml"), made.experiment.to_toml().as_bytes())?;
        let pictures: Vec<(Picture, String)> = pictures(made)
            .into_iter()
            .map(|picture| {
                let (svg, png) = match &picture.charts[..] {
                    [chart] => (svg(chart), png(chart)),
                    charts => (svg_grid(charts, COLUMNS, &picture.title), png_grid(charts, COLUMNS, &picture.title)),
                };
                let name = format!("{}{}", made.name, picture.ending);
                write_file_atomically(&file(folder, &name, ".svg"), svg.as_bytes())?;
                write_file_atomically(&file(folder, &name, ".png"), &png?)?;
                Ok((picture, svg))
            })
            .collect::<anyhow::Result<_>>()?;
        drawn.push((made, pictures));
    }
    write_file_atomically(&folder.join(REPORT), page::page(title, &drawn).html().as_bytes())?;
    Ok(())
}

/// Every update of every curve as a line.
fn write_numbers(path: &Path, made: &Made) -> anyhow::Result<()> {
    let failed = || format!("cannot write `{}`", path.display());
    let mut writer = csv::Writer::from_writer(File::create(path).with_context(failed)?);
    writer.write_record(["curve", "update", "error", "half_width", "bound", "exact", "rate"]).with_context(failed)?;
    for curve in &made.outcome.curves {
        for (t, band) in curve.trace.error.iter().enumerate() {
            let text = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
            let bound = curve.bound.as_ref().ok().map(|bound| bound.at(t as u64));
            let record = [
                curve.label.clone(),
                t.to_string(),
                band.mean.to_string(),
                band.half_width.to_string(),
                text(bound),
                text(curve.exact.as_ref().map(|exact| exact[t])),
                text(curve.trace.rates.get(t).copied()),
            ];
            writer.write_record(record).with_context(failed)?;
        }
    }
    writer.flush().with_context(failed)
}
