//! The figures of an experiment.

use kiln_convergence::{Axes, CurveOutcome, Horizontal};

use super::made::{Made, Picture};
use super::plane;
use kiln_figures::{Axis, Chart, Line, Series};

/// How many of several charts stand side by side.
pub(super) const COLUMNS: usize = 4;

/// From this many curves on, rates are drawn apart,
const CROWDED: usize = 7;
/// and from this many on errors too.
const TOO_MANY: usize = 10;

/// Every figure of an experiment.
pub(super) fn pictures(made: &Made) -> Vec<Picture> {
    let mut pictures = vec![errors(made)];
    pictures.extend(rates(made));
    pictures.extend(iterations(made));
    pictures.extend(sharpness(made));
    pictures.extend(plane::pictures(made));
    pictures
}

fn time_axis(made: &Made) -> Axis {
    let label = match made.experiment.x {
        Horizontal::Updates => "update t",
        Horizontal::Samples => "samples processed",
    };
    match made.experiment.axes {
        Axes::SemiLogarithmic => Axis::linear(label),
        Axes::Logarithmic => Axis::logarithmic(format!("{label} (logarithmic: the start is not shown)")),
    }
}

fn errors(made: &Made) -> Picture {
    let is_convex = made.outcome.curves.iter().any(|curve| curve.constants.is_some());
    let label = if is_convex { "F(w) − F*" } else { "F(w)" };
    let curves = &made.outcome.curves;
    let y = Axis { range: error_range(curves), ..Axis::logarithmic(label) };
    let chart =
        |title: String, series: Vec<Series>| Chart { title, x: time_axis(made), y: y.clone(), series, note: None };
    let caption = caption(made, y.range);
    if curves.len() >= TOO_MANY {
        let apart = |curve: &CurveOutcome| {
            let unnamed =
                series(std::slice::from_ref(curve)).into_iter().map(|series| Series { label: String::new(), ..series });
            let mut of_one = named(unnamed.collect());
            if let Some(mean) = of_one.iter_mut().find(|series| series.line == Line::Solid) {
                mean.label = "measured mean".into();
            }
            chart(curve.label.clone(), of_one)
        };
        let charts = curves.iter().map(apart).collect();
        return Picture { ending: "", caption, title: made.experiment.title.clone(), charts };
    }
    let charts = vec![chart(made.experiment.title.clone(), named(series(curves)))];
    Picture { ending: "", caption, title: made.experiment.title.clone(), charts }
}

/// What is drawn, and what needs an explanation.
fn caption(made: &Made, range: Option<(f64, f64)>) -> String {
    let curves = &made.outcome.curves;
    let repeats = curves.iter().map(|curve| curve.trace.repeats).max().unwrap_or(1);
    let what = if repeats > 1 {
        format!("Mean of {repeats} repeats with its 95 % confidence band (solid)")
    } else {
        "Measured error (solid)".into()
    };
    let mut caption =
        format!("{what}; the theorem's bound dashed and the exact expectation dotted, where there is one.");
    if curves.iter().any(|curve| one_repeat(curve, 0).is_some()) {
        caption += " Thin: one repeat, whose rate falls in steps, where the mean over many falls smoothly.";
    }
    let end = |curve: &CurveOutcome| curve.trace.times.last().copied().unwrap_or_default();
    if curves.iter().any(|curve| curve.bound.as_ref().is_ok_and(|bound| bound.at(end(curve)) > bound.start)) {
        caption += " A bound that rises has its floor above the start: it promises that the error stays below that \
                    floor, and nothing of a fall.";
    }
    let leaves = |curve: &CurveOutcome| {
        let last = curve.trace.error.last().map_or(0.0, |band| band.mean);
        range.is_some_and(|(low, high)| last > high || last > 0.0 && last < low)
    };
    if curves.iter().any(leaves) {
        caption += " An arrow at the edge: the curve goes on beyond it.";
    }
    caption
}

/// The measured curves, their bounds, and what is exact.
fn series(curves: &[CurveOutcome]) -> Vec<Series> {
    let measured = curves.iter().enumerate().map(|(colour, curve)| error_curve(curve, colour));
    let bounds = curves.iter().enumerate().filter_map(|(colour, curve)| bound_curve(curve, colour));
    let exact = curves.iter().enumerate().filter_map(|(colour, curve)| exact_curve(curve, colour));
    let one = curves.iter().enumerate().filter_map(|(colour, curve)| one_repeat(curve, colour));
    one.chain(measured).chain(bounds).chain(exact).collect()
}

/// What a dash, a dot and a thin line mean is said once.
fn named(mut series: Vec<Series>) -> Vec<Series> {
    let meanings =
        [(Line::Dashed, "bound of the theorem"), (Line::Dotted, "exact expectation"), (Line::Thin, "one repeat")];
    for (line, label) in meanings {
        if let Some(first) = series.iter_mut().find(|series| series.line == line) {
            first.label = label.into();
        }
    }
    series
}

/// What is worth seeing: from far enough below the noisy curves (or, where none is, from where the digits of the
/// arithmetic end) to the bounds, but not far above the start, where divergence leaves the picture.
fn error_range(curves: &[CurveOutcome]) -> Option<(f64, f64)> {
    let means = |curve: &CurveOutcome| curve.trace.error.iter().map(|band| band.mean).collect::<Vec<_>>();
    let start = curves.iter().filter_map(|curve| curve.trace.error.first()).map(|band| band.mean).fold(0.0, f64::max);
    let smallest_of = |curves: &mut dyn Iterator<Item = &CurveOutcome>| {
        curves.flat_map(means).filter(|mean| *mean > 0.0).fold(f64::INFINITY, f64::min)
    };
    let noisy = smallest_of(&mut curves.iter().filter(|curve| curve.trace.repeats > 1)) / 10.0;
    let smallest = smallest_of(&mut curves.iter()).max(start * 1e-14).max(if noisy.is_finite() { noisy } else { 0.0 });
    let last = |curve: &CurveOutcome| {
        let end = curve.trace.times.last().copied().unwrap_or_default();
        curve.bound.as_ref().map_or(0.0, |bound| bound.at(end))
    };
    let largest = curves.iter().flat_map(means).chain(curves.iter().map(last)).fold(0.0, f64::max).min(start * 1e3);
    (smallest < largest).then_some((smallest * 0.5, largest * 2.0))
}

/// A value for each evaluation, given its index and its update.
fn points(curve: &CurveOutcome, at: impl Fn(usize, u64) -> f64) -> Vec<(f64, f64)> {
    curve.trace.times.iter().enumerate().map(|(index, t)| ((*t * curve.per_update) as f64, at(index, *t))).collect()
}

fn error_curve(curve: &CurveOutcome, colour: usize) -> Series {
    let errors = &curve.trace.error;
    let band = errors.iter().map(|band| (band.mean - band.half_width, band.mean + band.half_width)).collect();
    let is_noisy = errors.iter().any(|band| band.half_width > 0.0);
    Series {
        band: is_noisy.then_some(band),
        ..Series::curve(curve.label.clone(), colour, points(curve, |index, _| errors[index].mean))
    }
}

/// The first repeat, where repeats have rates of their own.
fn one_repeat(curve: &CurveOutcome, colour: usize) -> Option<Series> {
    let first = &curve.trace.first;
    let points = || points(curve, |index, _| first.errors[index]);
    (!first.rates.is_empty()).then(|| Series { line: Line::Thin, ..Series::curve("", colour, points()) })
}

fn bound_curve(curve: &CurveOutcome, colour: usize) -> Option<Series> {
    let bound = curve.bound.as_ref().ok()?;
    let covered = curve.trace.times.iter().filter(|t| bound.covers(**t));
    let points = covered.map(|t| ((*t * curve.per_update) as f64, bound.at(*t))).collect();
    Some(Series { line: Line::Dashed, ..Series::curve("", colour, points) })
}

fn exact_curve(curve: &CurveOutcome, colour: usize) -> Option<Series> {
    // Without noise the measured curve lies on it.
    let exact = curve.exact.as_ref().filter(|_| curve.trace.is_noisy)?;
    Some(Series { line: Line::Dotted, ..Series::curve("", colour, points(curve, |index, _| exact[index])) })
}

/// A value for each update.
fn rate_points(curve: &CurveOutcome, rates: &[f64]) -> Vec<(f64, f64)> {
    rates.iter().enumerate().map(|(t, rate)| ((t as u64 * curve.per_update) as f64, *rate)).collect()
}

/// The learning rates, where any of them changes.
fn rates(made: &Made) -> Option<Picture> {
    let curves = &made.outcome.curves;
    let changes = |curve: &CurveOutcome| curve.trace.rates.windows(2).any(|pair| pair[0] != pair[1]);
    if !curves.iter().any(changes) {
        return None;
    }
    let series = |curve: &CurveOutcome, colour: usize| {
        Series::curve(curve.label.clone(), colour, rate_points(curve, &curve.trace.rates))
    };
    let one_repeat = |curve: &CurveOutcome, colour: usize| {
        let rates = &curve.trace.first.rates;
        let thin = || Series { line: Line::Thin, ..Series::curve("", colour, rate_points(curve, rates)) };
        (!rates.is_empty()).then(thin)
    };
    let chart = |title: String, rate: Axis, series: Vec<Series>| Chart {
        title,
        x: time_axis(made),
        y: rate,
        series,
        note: None,
    };
    let title = format!("{}: learning rates", made.experiment.title);
    let caption = "Learning rate of each update; where it depends on what each repeat sees, the mean over all of them, \
                   and thin that of one.";
    // The same axis everywhere, from 0 on: a rate that ends at a tenth should not look like one that ends at 0.
    let largest = curves.iter().flat_map(|curve| &curve.trace.rates).copied().fold(0.0, f64::max);
    let rate = Axis { range: Some((0.0, 1.05 * largest)), ..Axis::linear("rate") };
    let charts: Vec<Chart> = if curves.len() >= CROWDED {
        let small = |curve: &CurveOutcome| {
            let series = Series { label: String::new(), ..series(curve, 0) };
            chart(curve.label.clone(), rate.clone(), named(one_repeat(curve, 0).into_iter().chain([series]).collect()))
        };
        curves.iter().map(small).collect()
    } else {
        let one = curves.iter().enumerate().filter_map(|(colour, curve)| one_repeat(curve, colour));
        let all = one.chain(curves.iter().enumerate().map(|(colour, curve)| series(curve, colour)));
        vec![chart(title.clone(), Axis::logarithmic("learning rate"), named(all.collect()))]
    };
    Some(Picture { ending: "-rates", caption: caption.into(), title, charts })
}

/// Updates against 1 / epsilon; against the size of the mini-batches where there is one epsilon.
fn iterations(made: &Made) -> Option<Picture> {
    if let [epsilon] = made.experiment.iterations_to[..] {
        return by_batch(made, epsilon);
    }
    let series = |(colour, curve): (usize, &CurveOutcome)| {
        let reached = &curve.iterations.as_ref()?.reached;
        let points = reached.iter().filter_map(|(epsilon, steps)| {
            Some((1.0 / epsilon, (steps.filter(|t| *t > 0)? * curve.per_update) as f64))
        });
        Some(Series { line: Line::Solid, ..Series::curve(curve.label.clone(), colour, points.collect()) })
    };
    let series: Vec<Series> = made.outcome.curves.iter().enumerate().filter_map(series).collect();
    let title = made.experiment.title.clone();
    let what = made.counted();
    let (x, y) = (Axis::logarithmic("1 / ε"), Axis::logarithmic(what));
    (!series.is_empty()).then(|| Picture {
        ending: "-iterations",
        caption: format!("The {what} until the mean error is at most epsilon."),
        title: title.clone(),
        charts: vec![Chart { title, x, y, series, note: None }],
    })
}

/// What each mini-batch takes to come down to `epsilon`: measured, and exactly where that is known.
fn by_batch(made: &Made, epsilon: f64) -> Option<Picture> {
    let curves = made.experiment.curves.iter().zip(&made.outcome.curves);
    let (mut measured, mut exact) = (Vec::new(), Vec::new());
    for (config, curve) in curves {
        let (Some(batch), Some(iterations)) = (config.batch, &curve.iterations) else { continue };
        let point = |updates: Option<u64>| Some((batch as f64, (updates? * curve.per_update) as f64));
        measured.extend(iterations.reached.first().and_then(|(_, updates)| point(*updates)));
        exact.extend(iterations.exact.as_ref().and_then(|exact| point(*exact.first()?)));
    }
    let what = made.counted();
    let series = [("measured", Line::Solid, measured), ("exact expectation", Line::Dotted, exact)]
        .into_iter()
        .filter(|(_, _, points)| points.len() > 1)
        .map(|(label, line, points)| Series { line, ..Series::curve(label, 0, points) });
    let series: Vec<Series> = series.collect();
    let title = made.experiment.title.clone();
    let (x, y) = (Axis::logarithmic("b, samples in a mini-batch"), Axis::logarithmic(what));
    (!series.is_empty()).then(|| Picture {
        ending: "-iterations",
        caption: format!("The {what} until the mean error is at most {epsilon}, against the size of the mini-batches."),
        title: title.clone(),
        charts: vec![Chart { title, x, y, series, note: None }],
    })
}

/// The sharpness along each curve, and 2/eta, above which plain descent at the rate eta would grow on a quadratic.
fn sharpness(made: &Made) -> Option<Picture> {
    let curves = made.outcome.curves.iter().enumerate().filter(|(_, curve)| !curve.trace.sharpness.is_empty());
    let mut series = Vec::new();
    for (colour, curve) in curves {
        let values = &curve.trace.sharpness;
        let points = |value: &dyn Fn(u64, f64) -> Option<f64>| -> Vec<(f64, f64)> {
            values.iter().filter_map(|(t, sharpness)| Some((*t as f64, value(*t, *sharpness)?))).collect()
        };
        let limit = |t: u64, _: f64| curve.trace.rates.get(t as usize).map(|rate| 2.0 / rate);
        series.push(Series::curve(curve.label.clone(), colour, points(&|_, sharpness| Some(sharpness))));
        let label = if series.len() == 1 { "2/η" } else { "" };
        series.push(Series { line: Line::Dashed, ..Series::curve(label, colour, points(&limit)) });
    }
    let title = format!("{}: the sharpness", made.experiment.title);
    let (x, y) = (Axis::linear("update t"), Axis::linear("largest eigenvalue of the Hessian"));
    (!series.is_empty()).then(|| Picture {
        ending: "-sharpness",
        caption: "The largest eigenvalue of the Hessian where the descent is; dashed: 2/η of the same curve.".into(),
        title: title.clone(),
        charts: vec![Chart { title, x, y, series, note: None }],
    })
}
