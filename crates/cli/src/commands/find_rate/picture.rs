//! The losses over the rates, as a picture.

use std::path::Path;

use anyhow::Context;
use kiln_figures::{Axis, Chart, Line, Series, png, svg};
use kiln_training::learning::{RateFindings, RatePoint, RateRange};

use crate::exit::UsageError;

/// Where to draw, and how.
pub(super) struct Picture<'a> {
    path: &'a Path,
    is_svg: bool,
}

impl<'a> Picture<'a> {
    pub(super) fn named(path: &'a Path) -> Result<Self, UsageError> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("svg") => Ok(Self { path, is_svg: true }),
            Some("png") => Ok(Self { path, is_svg: false }),
            _ => Err(UsageError(format!("--output {}: the name must end in .svg or .png", path.display()))),
        }
    }

    pub(super) fn draw(&self, chart: &Chart) -> anyhow::Result<()> {
        let bytes = if self.is_svg { svg(chart).into_bytes() } else { png(chart)? };
        std::fs::write(self.path, bytes).with_context(|| format!("cannot write {}", self.path.display()))
    }
}

/// The losses over the rates; what rose far above the first loss is cut off.
pub(super) fn chart(range: RateRange, findings: &RateFindings) -> Chart {
    let curve = |loss: fn(&RatePoint) -> f64| findings.points.iter().map(|point| (point.rate, loss(point))).collect();
    let losses = || findings.points.iter().map(|point| point.loss);
    let lowest = losses().fold(f64::INFINITY, f64::min);
    let highest = losses().fold(f64::NEG_INFINITY, f64::max).min(1.5 * findings.first_loss.unwrap_or(f64::INFINITY));
    let mut series = vec![
        Series { line: Line::Points, ..Series::curve("loss", 5, curve(|point| point.loss)) },
        Series::curve("smoothed", 0, curve(|point| point.smoothed)),
    ];
    let marks = [("suggestion", findings.suggestion, 2), ("diverged", findings.stop.diverged_at(), 1)];
    for (label, rate, colour) in marks {
        if let Some(rate) = rate {
            let upright = vec![(rate, lowest), (rate, highest)];
            series
                .push(Series { line: Line::Dashed, ..Series::curve(format!("{label}, {rate:.2e}"), colour, upright) });
        }
    }
    let x = Axis { range: Some((range.from(), range.to())), ..Axis::logarithmic("learning rate") };
    let mut y = Axis::linear("loss, nats per token");
    y.range = (lowest < highest).then_some((lowest, highest));
    Chart { title: "Learning-rate range test".to_string(), x, y, series, note: None }
}
