//! Charts of recorded runs: a curve a run, or the mean of several with the band of its confidence.

use kiln_convergence::Band;
use kiln_figures::{Axis, Chart, Series};

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

/// One kind of curve of all groups.
pub(crate) fn chart(groups: &[Group<'_>], curve: Curve, along: Along) -> Chart {
    let all = || groups.iter().flat_map(|group| group.runs.iter().copied());
    let measure = Measure::of(all());
    let points = |run: &RecordedRun| match curve {
        Curve::Validation => run.evaluation_points(along, |entry| measure.loss(entry)),
        Curve::Training => run.smoothed_loss(along),
        Curve::Rate => run.step_points(along, |entry| entry.learning_rate),
        Curve::Norm => run.step_points(along, |entry| entry.gradient_norm),
    };
    let series: Vec<Series> = groups.iter().enumerate().map(|(index, group)| series(group, index, points)).collect();
    let (title, mut y) = match curve {
        Curve::Validation => ("Validation loss", Axis::linear(measure.words())),
        Curve::Training => ("Training loss, smoothed", Axis::linear("nats per token")),
        Curve::Rate => ("Learning rate", Axis::linear("rate")),
        Curve::Norm => ("Gradient norm before clipping", Axis::logarithmic("norm")),
    };
    if matches!(curve, Curve::Validation | Curve::Training) && measure == Measure::Nats {
        y.range = shown(&series, ceiling(all()));
    }
    let has_band = series.iter().any(|series| series.band.is_some());
    let note = has_band.then(|| "means over seeds, with their 95 % intervals".to_owned());
    Chart { title: title.to_owned(), x: Axis::linear(along.label()), y, series, note }
}

/// Both losses of one run.
pub(crate) fn losses_chart(run: &RecordedRun, along: Along) -> Chart {
    let validation = run.evaluation_points(along, |entry| entry.valid_loss);
    let series = vec![
        Series::curve("training, smoothed", 0, run.smoothed_loss(along)),
        Series::curve("validation", 1, validation),
    ];
    let range = shown(&series, ceiling(std::iter::once(run)));
    let y = Axis { range, ..Axis::linear("nats per token") };
    Chart { title: "Loss".to_owned(), x: Axis::linear(along.label()), y, series, note: None }
}

/// The curve of a group; of several runs their mean where all of them have a point.
fn series(group: &Group<'_>, colour: usize, points: impl Fn(&RecordedRun) -> Vec<(f64, f64)>) -> Series {
    let curves: Vec<Vec<(f64, f64)>> = group.runs.iter().map(|run| points(run)).collect();
    let [first, others @ ..] = &curves[..] else { return Series::curve(&group.label, colour, Vec::new()) };
    if others.is_empty() {
        return Series::curve(&group.label, colour, first.clone());
    }
    let (mut means, mut band) = (Vec::new(), Vec::new());
    for &(x, value) in first {
        let there = |curve: &Vec<(f64, f64)>| {
            let index = curve.binary_search_by(|point| point.0.total_cmp(&x)).ok()?;
            Some(curve[index].1)
        };
        let values: Vec<f64> = std::iter::once(Some(value)).chain(others.iter().map(there)).flatten().collect();
        if values.len() == curves.len() {
            let Band { mean, half_width } = Band::of_95(&values);
            means.push((x, mean));
            band.push((mean - half_width, mean + half_width));
        }
    }
    Series { band: Some(band), ..Series::curve(&group.label, colour, means) }
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
