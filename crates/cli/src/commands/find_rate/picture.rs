//! The losses over the rates, as a picture.

use kiln_figures::{Axis, Chart, Line, Series};
use kiln_training::learning::{RateFindings, RatePoint, RateRange};

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
