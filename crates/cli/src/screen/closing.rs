//! What stays on the screen when the dashboard is gone.

use kiln_figures::{Axis, Chart, Line, Series, terminal};

use super::curve::loss_range;
use super::drawing::lines::{EVALUATION_HEAD, evaluation, plain};
use super::state::State;

/// Rows of the table at most.
const ROWS: usize = 20;

/// The evaluations as a table, the losses as a plot, the last sample, and what went wrong.
pub(super) fn words(state: &State, width: usize) -> String {
    let mut parts = Vec::new();
    if !state.evaluations.is_empty() {
        parts.push(table(state));
    }
    if state.training.points().len() > 1 {
        parts.push(terminal(&chart(state), width));
    }
    if let Some((step, text)) = &state.sample {
        parts.push(format!("--- sample after step {step} ---\n{}\n---", plain(text)));
    }
    parts.extend(state.notes.iter().map(|note| format!("warning: {note}")));
    parts.join("\n")
}

/// Evaluations evenly taken from all, the best and the last one among them.
fn table(state: &State) -> String {
    let (all, best) = (&state.evaluations, state.best());
    let every = all.len().div_ceil(ROWS);
    let mut table = format!("{EVALUATION_HEAD}  (+ the lowest loss so far)");
    for (index, evaluated) in all.iter().enumerate() {
        let is_last = index + 1 == all.len();
        if (index + 1).is_multiple_of(every) || is_last || best.is_some_and(|best| best == evaluated) {
            table.push_str(&format!("\n{}", evaluation(evaluated)));
        }
    }
    table
}

fn chart(state: &State) -> Chart {
    let [bottom, top] = loss_range(state);
    let validation = state.evaluations.iter().map(|evaluated| (evaluated.step as f64, evaluated.loss)).collect();
    let mut series = vec![
        Series::curve("training loss, smoothed", 0, state.training.points()),
        Series { line: Line::Points, ..Series::curve("validation loss", 1, validation) },
    ];
    if let Some(floor) = state.facts.floor {
        let level = vec![(0.0, floor), (state.step as f64, floor)];
        series.push(Series { line: Line::Dashed, ..Series::curve(format!("the best possible, {floor:.4}"), 2, level) });
    }
    // The floor would lie on the axis.
    let bottom = bottom - (top - bottom) / 20.0;
    let y = Axis { range: Some((bottom, top)), ..Axis::linear("loss, nats per token") };
    Chart { title: state.facts.run.clone(), x: Axis::linear("step"), y, series, note: None }
}
