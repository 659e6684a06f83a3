//! Charts of recorded runs: a curve a run, or the mean of several with the band of its confidence.

use kiln_convergence::Band;
use kiln_figures::{Axis, Chart, Line, Series};

use super::{Along, Curve, RecordedRun, agree};

/// Runs that are one curve: alike but for their seeds.
pub(crate) struct Group<'a> {
    pub(crate) label: String,
    pub(crate) runs: Vec<&'a RecordedRun>,
}

/// In which unit losses are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measure {
    /// Nats per token, where all tokens are the same.
    Nats,
    /// Bits per byte of the text, where they are not.
    Bits,
}

impl Measure {
    /// The one in which these runs can be compared.
    pub(crate) fn of<'a>(runs: impl IntoIterator<Item = &'a RecordedRun>) -> Self {
        if agree(runs, RecordedRun::tokenizer_hash) { Self::Nats } else { Self::Bits }
    }

    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Nats => "nats per token",
            Self::Bits => "bits per byte",
        }
    }

    /// A loss in this unit.
    pub(crate) fn loss(self, evaluation: &kiln_training::run::EvaluationEntry) -> f64 {
        match self {
            Self::Nats => evaluation.valid_loss,
            Self::Bits => evaluation.bits_per_byte,
        }
    }
}

/// One kind of curve of all groups, with their bands.
pub(crate) fn chart(groups: &[Group<'_>], curve: Curve, along: Along) -> Chart {
    let mut chart = means_chart(groups, curve, along);
    let measure = Measure::of(groups.iter().flat_map(|group| group.runs.iter().copied()));
    let curves = groups.iter().map(|group| curves(group, curve, along, measure));
    for (series, curves) in chart.series.iter_mut().zip(curves) {
        series.band = band(&curves);
    }
    if chart.series.iter().any(|series| series.band.is_some()) {
        chart.y.range = chart.y.range.or_else(|| with_bands(&chart.series));
        chart.note = Some("means over seeds, with their 95 % intervals".to_owned());
    }
    chart
}

/// The same without bands, for a terminal, which has no place for them.
pub(crate) fn means_chart(groups: &[Group<'_>], curve: Curve, along: Along) -> Chart {
    let all = || groups.iter().flat_map(|group| group.runs.iter().copied());
    let measure = Measure::of(all());
    let series = groups.iter().enumerate().map(|(index, group)| {
        let means = joined(&curves(group, curve, along, measure)).into_iter().map(|(x, values)| (x, mean(&values)));
        Series::curve(&group.label, index, means.collect())
    });
    let series: Vec<Series> = series.collect();
    let (title, mut y) = match curve {
        Curve::Validation => ("Validation loss", Axis::linear(measure.words())),
        Curve::Training => ("Training loss, smoothed", Axis::linear("nats per token")),
        Curve::Rate => ("Learning rate", Axis::linear("rate")),
        Curve::Norm => ("Gradient norm before clipping", Axis::logarithmic("norm")),
    };
    if matches!(curve, Curve::Validation | Curve::Training) && measure == Measure::Nats {
        y.range = shown(&series, ceiling(all()));
    }
    Chart { title: title.to_owned(), x: Axis::linear(along.label()), y, series, note: None }
}

/// Both losses of one run.
pub(crate) fn losses_chart(run: &RecordedRun, along: Along) -> Chart {
    let validation = run.evaluation_points(along, |entry| entry.valid_loss);
    let mut series = vec![
        Series::curve("training, smoothed", 0, run.smoothed_loss(along)),
        Series::curve("validation", 1, validation),
    ];
    if let Some(floor) = run.floor() {
        let places = series.iter().flat_map(|series| &series.points).map(|(place, _)| *place);
        let [first, last] =
            places.fold([f64::INFINITY, 0.0], |[first, last], place| [place.min(first), place.max(last)]);
        let points = if first < last { vec![(first, floor), (last, floor)] } else { Vec::new() };
        series.push(Series { line: Line::Dashed, ..Series::curve("the best possible", 2, points) });
    }
    let range = shown(&series, ceiling(std::iter::once(run)));
    let y = Axis { range, ..Axis::linear("nats per token") };
    Chart { title: "Loss".to_owned(), x: Axis::linear(along.label()), y, series, note: None }
}

/// The curve of each run of a group.
fn curves(group: &Group<'_>, curve: Curve, along: Along, measure: Measure) -> Vec<Vec<(f64, f64)>> {
    let of_run = |run: &&RecordedRun| match curve {
        Curve::Validation => run.evaluation_points(along, |entry| measure.loss(entry)),
        Curve::Training => run.smoothed_loss(along),
        Curve::Rate => run.step_points(along, |entry| entry.learning_rate),
        Curve::Norm => run.step_points(along, |entry| entry.gradient_norm),
    };
    group.runs.iter().map(of_run).collect()
}

/// The values of all curves where all of them have a point.
fn joined(curves: &[Vec<(f64, f64)>]) -> Vec<(f64, Vec<f64>)> {
    let Some(first) = curves.first() else { return Vec::new() };
    let at = |x: f64| {
        let value = |curve: &Vec<(f64, f64)>| {
            let index = curve.binary_search_by(|point| point.0.total_cmp(&x)).ok()?;
            Some(curve[index].1)
        };
        Some((x, curves.iter().map(value).collect::<Option<Vec<f64>>>()?))
    };
    first.iter().filter_map(|(x, _)| at(*x)).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The 95 % intervals of the means of several curves.
fn band(curves: &[Vec<(f64, f64)>]) -> Option<Vec<(f64, f64)>> {
    let edges = |(_, values): (f64, Vec<f64>)| {
        let Band { mean, half_width } = Band::of_95(&values);
        (mean - half_width, mean + half_width)
    };
    (curves.len() > 1).then(|| joined(curves).into_iter().map(edges).collect())
}

/// The curves with their bands, but for what of these is farther from the curves than those are from each other: two
/// seeds have an interval of 13 standard errors, beside which no curve would be seen.
fn with_bands(series: &[Series]) -> Option<(f64, f64)> {
    let extent = |values: &mut dyn Iterator<Item = f64>| {
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)))
    };
    let curves = extent(&mut series.iter().flat_map(|series| &series.points).map(|(_, value)| *value));
    let edges = || series.iter().flat_map(|series| series.band.iter().flatten());
    let bands = extent(&mut edges().flat_map(|(low, high)| [*low, *high]));
    let span = curves.1 - curves.0;
    let range = (bands.0.clamp(curves.0 - span, curves.0), bands.1.clamp(curves.1, curves.1 + span));
    (span > 0.0 && range.0.is_finite() && range.1.is_finite()).then_some(range)
}

/// A loss above that of the untrained model says no more than that a run is lost.
fn ceiling<'a>(runs: impl Iterator<Item = &'a RecordedRun>) -> f64 {
    let first_losses = runs.filter_map(|run| run.metrics.steps.first());
    first_losses.map(|entry| entry.train_loss).fold(f64::NEG_INFINITY, f64::max)
}

/// From the lowest value to the highest one that is not above the ceiling; `None` where nothing is above it.
fn shown(series: &[Series], ceiling: f64) -> Option<(f64, f64)> {
    let values = || series.iter().flat_map(|series| &series.points).map(|(_, value)| *value);
    let lowest = values().fold(f64::INFINITY, f64::min);
    let highest = values().fold(f64::NEG_INFINITY, f64::max);
    (highest > ceiling && lowest < ceiling).then_some((lowest, ceiling))
}
