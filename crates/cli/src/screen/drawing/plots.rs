//! The plots: losses, rate, gradient norm.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::symbols::Marker;
use ratatui::text::Line;
use ratatui::widgets::{Axis, Chart, Dataset, GraphType};

use super::{Look, framed};
use crate::screen::curve::{Curve, loss_range};
use crate::screen::state::State;

/// How the curves are marked, here and in the line below.
pub(super) const TRAINING: char = '⠒';
pub(super) const VALIDATION: char = '●';
pub(super) const BEST: char = '◆';
pub(super) const FLOOR: char = '╌';

/// Smoothed training loss, validation losses, the best of them, and the floor.
pub(super) fn losses(state: &State, look: Look, frame: &mut Frame<'_>, area: Rect) {
    let bounds = loss_range(state);
    let steps = step_bounds(state);
    let training = clipped(state.training.points(), bounds);
    let validation: Vec<_> = state.evaluations.iter().map(|point| (point.step as f64, point.loss)).collect();
    let best: Vec<_> = state.best().map(|point| (point.step as f64, point.loss)).into_iter().collect();
    let floor: Vec<_> = state.facts.floor.iter().flat_map(|floor| [(steps[0], *floor), (steps[1], *floor)]).collect();
    let line =
        |data, marker, style| Dataset::default().data(data).marker(marker).graph_type(GraphType::Line).style(style);
    let dots = |data, mark, style| {
        Dataset::default().data(data).marker(Marker::Custom(mark)).graph_type(GraphType::Scatter).style(style)
    };
    let sets = vec![
        line(&floor, Marker::Custom(FLOOR), look.floor()),
        line(&training, Marker::Braille, look.training()),
        dots(&validation, VALIDATION, look.validation()),
        dots(&best, BEST, look.best()),
    ];
    let labels = if area.height >= 14 { 5 } else { 3 };
    let label = if bounds[1] - bounds[0] > 0.2 { |loss| format!("{loss:.2}") } else { |loss| format!("{loss:.4}") };
    let y = axis(bounds, labels, label, look);
    let chart = Chart::new(sets).x_axis(step_axis(steps, look)).y_axis(y).legend_position(None);
    frame.render_widget(chart.block(framed(" loss, nats per token; that of training is smoothed ", look)), area);
}

/// The learning rate.
pub(super) fn rate(state: &State, look: Look, frame: &mut Frame<'_>, area: Rect) {
    let highest = state.rates.points().iter().map(|point| point.1).fold(0.0, f64::max);
    let bounds = [0.0, if highest > 0.0 { highest } else { 1.0 }];
    one(
        &state.rates,
        bounds,
        " learning rate ",
        |rate| if rate > 0.0 { format!("{rate:.1e}") } else { "0".to_owned() },
        state,
        look,
        frame,
        area,
    );
}

/// The gradient norm, up to the one below which 99 of 100 lie.
pub(super) fn norm(state: &State, look: Look, frame: &mut Frame<'_>, area: Rect) {
    let mut norms: Vec<f64> = state.norms.points().iter().map(|point| point.1).collect();
    norms.sort_by(f64::total_cmp);
    let highest = norms.get(norms.len().saturating_sub(1) * 99 / 100).copied().filter(|norm| *norm > 0.0);
    let bounds = [0.0, highest.unwrap_or(1.0)];
    one(&state.norms, bounds, " gradient norm before clipping ", |norm| format!("{norm:.2}"), state, look, frame, area);
}

#[expect(clippy::too_many_arguments, reason = "what two plots differ in, and where they go")]
fn one(
    curve: &Curve,
    bounds: [f64; 2],
    title: &'static str,
    label: fn(f64) -> String,
    state: &State,
    look: Look,
    frame: &mut Frame<'_>,
    area: Rect,
) {
    let points = clipped(curve.points(), bounds);
    let set = Dataset::default().data(&points).marker(Marker::Braille).graph_type(GraphType::Line);
    let chart = Chart::new(vec![set.style(look.training())])
        .x_axis(step_axis(step_bounds(state), look))
        .y_axis(axis(bounds, 2, label, look))
        .legend_position(None);
    frame.render_widget(chart.block(framed(title, look)), area);
}

/// From the first step to the newest.
fn step_bounds(state: &State) -> [f64; 2] {
    [0.0, (state.step as f64).max(1.0)]
}

fn step_axis(bounds: [f64; 2], look: Look) -> Axis<'static> {
    axis(bounds, 3, |step| format!("{step:.0}"), look)
}

/// An axis with this number of labels, evenly spaced.
fn axis(bounds: [f64; 2], labels: usize, label: fn(f64) -> String, look: Look) -> Axis<'static> {
    let [from, to] = bounds;
    let labels = (0..labels).map(|index| from + (to - from) * index as f64 / (labels - 1) as f64);
    let labels: Vec<Line<'static>> = labels.map(|place| Line::styled(label(place), Style::new())).collect();
    Axis::default().bounds(bounds).labels(labels).style(look.faint())
}

/// What is above the range is drawn at its edge: a curve that leaves it must not seem to end.
fn clipped(mut points: Vec<(f64, f64)>, [bottom, top]: [f64; 2]) -> Vec<(f64, f64)> {
    points.retain(|point| point.1.is_finite());
    points.iter_mut().for_each(|point| point.1 = point.1.clamp(bottom, top));
    points
}
