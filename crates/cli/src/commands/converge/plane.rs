//! The figures of a quadratic in two dimensions: its lines of equal height with the paths of the curves, and what c and
//! L are.

use kiln_convergence::{Constants, CurveOutcome, Plane};
use kiln_figures::{Axis, Chart, Line, Series};

use super::made::{Made, Picture};

/// The error on a line of equal height is this many times that on the next one.
const BETWEEN_LINES: f64 = 4.0;
/// How many lines there are inside of the one through the start, and outside.
const LINES: std::ops::RangeInclusive<i32> = -3..=6;
/// Corners of a line of equal height.
const CORNERS: usize = 120;

/// Both figures, where the first curve's problem is one in two dimensions.
pub(super) fn pictures(made: &Made) -> Vec<Picture> {
    let Some(first) = made.outcome.curves.first() else { return Vec::new() };
    let (Some(plane), Some(constants)) = (first.plane, &first.constants) else { return Vec::new() };
    let Some(start) = first.trace.first.places.first().copied() else { return Vec::new() };
    let on_it: Vec<(usize, &CurveOutcome)> =
        made.outcome.curves.iter().enumerate().filter(|(_, curve)| curve.plane == Some(plane)).collect();
    vec![paths(made, plane, start, &on_it), parabolas(made, plane, constants, start)]
}

/// The way of one repeat of each curve through the lines of equal height.
fn paths(made: &Made, plane: Plane, start: [f64; 2], curves: &[(usize, &CurveOutcome)]) -> Picture {
    let level = |step: i32| height(plane, start) * BETWEEN_LINES.powi(-step);
    let mut series: Vec<Series> = LINES
        .filter_map(|step| {
            let label = if step == *LINES.start() {
                format!("F(w) − F* is equal on each line, {BETWEEN_LINES} times smaller on the next inner one")
            } else {
                String::new()
            };
            let line = ellipse(plane, level(step))?;
            Some(Series { line: Line::Contour, ..Series::curve(label, 0, line) })
        })
        .collect();
    let path = |(colour, curve): &(usize, &CurveOutcome)| {
        let places = curve.trace.first.places.iter().map(|[x, y]| (*x, *y)).collect();
        Series::curve(curve.label.clone(), *colour, places)
    };
    series.extend(curves.iter().map(path));
    let [x, y] = plane.minimizer;
    series.push(Series { line: Line::Points, ..Series::curve("w*", 4, vec![(x, y)]) });
    let title = format!("{}: the path of one repeat", made.experiment.title);
    let shown = |pick: fn(&(f64, f64)) -> f64| {
        let paths = series.iter().filter(|series| series.line != Line::Contour).flat_map(|series| &series.points);
        extent(paths.map(pick))
    };
    let x = Axis { range: shown(|point| point.0), ..Axis::equal("w₁") };
    let y = Axis { range: shown(|point| point.1), ..Axis::equal("w₂") };
    Picture {
        ending: "-plane",
        caption:
            "The weights after each update, in the first repeat of each curve. The gradient is at right angles to \
                  the lines; it points to w* only where they are circles."
                .into(),
        title: title.clone(),
        charts: vec![Chart { title, x, y, series, note: None }],
    }
}

/// F along the line from the start to the minimum and beyond, between the parabolas that touch it at the start.
fn parabolas(made: &Made, plane: Plane, constants: &Constants, start: [f64; 2]) -> Picture {
    let away = [0, 1].map(|axis| plane.minimizer[axis] - start[axis]);
    let distance = away[0].hypot(away[1]);
    let direction = away.map(|part| part / distance);
    let gradient = times(plane, [start[0] - plane.minimizer[0], start[1] - plane.minimizer[1]]);
    let slope = gradient[0] * direction[0] + gradient[1] * direction[1];
    let value = height(plane, start);
    let steps = || (0..=100).map(|step| (f64::from(step) / 50.0 - 0.5) * distance);
    let parabola = |curvature: f64| steps().map(|s| (s, value + slope * s + 0.5 * curvature * s * s)).collect();
    let along = steps().map(|s| {
        let place = [start[0] + s * direction[0], start[1] + s * direction[1]];
        (s, height(plane, place))
    });
    let (c, l) = (constants.strong_convexity, constants.smoothness);
    let touching =
        |label: &str, line, colour, curvature| Series { line, ..Series::curve(label, colour, parabola(curvature)) };
    let series = vec![
        Series::curve("F(w + su) − F*", 0, along.collect()),
        touching("F(w) − F* + s ∇F(w)ᵀu + L s²/2: F is nowhere above it", Line::Dashed, 1, l),
        touching("F(w) − F* + s ∇F(w)ᵀu + c s²/2: F is nowhere below it", Line::Dotted, 2, c),
        Series { line: Line::Points, ..Series::curve("the start w", 4, vec![(0.0, value)]) },
    ];
    let title = format!("{}: what c = {c} and L = {l} mean", made.experiment.title);
    // The upper parabola leaves the picture where it is several times as high as F.
    let lowest = series[2].points.iter().map(|point| point.1).fold(0.0, f64::min);
    let range = Some((1.1 * lowest - 0.05 * value, 2.5 * value));
    Picture {
        ending: "-parabolas",
        caption: "F along the line through the start w in the direction u of w*, between the two parabolas that touch \
                  it at w. c is the largest and L the smallest number for which this holds from every w in every \
                  direction. The lower one bounds F* from below; the lowest point of the upper one is what a step \
                  at the rate 1/L is sure of."
            .into(),
        title: title.clone(),
        charts: vec![Chart {
            title,
            x: Axis::linear("distance s from w"),
            y: Axis { range, ..Axis::linear("F − F*") },
            series,
            note: None,
        }],
    }
}

/// F(w) - F*.
fn height(plane: Plane, [x, y]: [f64; 2]) -> f64 {
    let error = [x - plane.minimizer[0], y - plane.minimizer[1]];
    let gradient = times(plane, error);
    0.5 * (error[0] * gradient[0] + error[1] * gradient[1])
}

fn times(plane: Plane, [x, y]: [f64; 2]) -> [f64; 2] {
    plane.hessian.map(|[a, b]| a * x + b * y)
}

/// The line where F - F* is `level`: with H = C Cᵀ, the points w* + sqrt(2 level) C⁻ᵀ z with |z| = 1.
fn ellipse(plane: Plane, level: f64) -> Option<Vec<(f64, f64)>> {
    let [[a, b], [_, d]] = plane.hessian;
    let first = a.sqrt();
    let (below, second) = (b / first, (d - b * b / a).sqrt());
    let corner = |corner: usize| {
        let (sin, cos) = (std::f64::consts::TAU * corner as f64 / CORNERS as f64).sin_cos();
        let radius = (2.0 * level).sqrt();
        let y = radius * sin / second;
        let x = (radius * cos - below * y) / first;
        (plane.minimizer[0] + x, plane.minimizer[1] + y)
    };
    let corners: Vec<_> = (0..=CORNERS).map(corner).collect();
    corners.iter().all(|(x, y)| x.is_finite() && y.is_finite()).then_some(corners)
}

/// From the least to the largest value, with some air.
fn extent(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let (low, high) = values
        .filter(|value| value.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    let air = 0.12 * (high - low);
    (low < high).then_some((low - air, high + air))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_equal_height_is_one() {
        // Eigenvalues 0.1 and 1, turned by the angle whose cosine is 0.6.
        let plane = Plane { minimizer: [2.0, -1.0], hessian: [[0.676, 0.432], [0.432, 0.424]] };
        let line = ellipse(plane, 0.7).unwrap();
        assert!(line.iter().all(|&(x, y)| (height(plane, [x, y]) - 0.7).abs() < 1e-12));
        // The longest way from the middle is along the eigenvector of 0.1: sqrt(2 · 0.7 / 0.1).
        let longest = line.iter().map(|&(x, y)| (x - 2.0).hypot(y + 1.0)).fold(0.0, f64::max);
        assert!((longest - 14f64.sqrt()).abs() < 1e-2, "{longest}");
        assert!(ellipse(Plane { hessian: [[1.0, 2.0], [2.0, 1.0]], ..plane }, 1.0).is_none());
    }
}
