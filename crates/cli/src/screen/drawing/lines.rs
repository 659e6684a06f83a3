//! The lines of words and numbers on the dashboard.

use std::time::Instant;

use ratatui::text::{Line, Span};

use super::Look;
use super::plots::{BEST, FLOOR, TRAINING, VALIDATION};
use crate::screen::state::{Evaluated, State};
use crate::sizes::bytes;
use crate::training_display::{duration, grouped};

/// From this many columns on, words need not be spared.
const WIDE: u16 = 100;

/// The head of [`evaluation`]'s columns.
pub(in crate::screen) const EVALUATION_HEAD: &str = "    step      loss  perplexity  bits/byte";

/// `step 233 of 1,000   23.3 %   0.18 of 0.78 passes   12 s left`; where there is room, over what
pub(super) fn progress(state: &State, now: Instant, width: u16) -> String {
    let (facts, step) = (&state.facts, state.step);
    let left = match state.seconds_left(now) {
        _ if step >= facts.steps => "done".to_owned(),
        Some(seconds) => format!("{} left", duration(seconds)),
        None => "time left unknown".to_owned(),
    };
    let over = if width >= WIDE { " over the text" } else { "" };
    format!(
        "step {} of {}   {:.1} %   {:.2} of {:.2} passes{over}   {left}",
        grouped(step),
        grouped(facts.steps),
        100.0 * step as f64 / facts.steps.max(1) as f64,
        facts.passes(step),
        facts.passes(facts.steps),
    )
}

/// How far the run is.
pub(super) fn bar(state: &State, width: u16, look: Look) -> Line<'static> {
    let done = (f64::from(width) * state.step as f64 / state.facts.steps.max(1) as f64).round() as usize;
    let done = done.min(width.into());
    Line::from(vec![
        Span::styled("━".repeat(done), look.training()),
        Span::styled("─".repeat(usize::from(width) - done), look.faint()),
    ])
}

/// The losses with their marks in the plot; the numbers of the newest step; what was saved and what went wrong.
pub(super) fn numbers(state: &State, now: Instant, look: Look) -> Vec<Line<'static>> {
    vec![losses(state, look), newest(state, look), kept(state, now, look)]
}

fn losses(state: &State, look: Look) -> Line<'static> {
    let mut parts = Vec::new();
    if let Some(loss) = state.training.newest() {
        parts.push(Span::styled(format!("{TRAINING} training {loss:.4}"), look.training()));
    }
    if let Some(newest) = state.evaluations.last() {
        parts.push(Span::styled(format!("{VALIDATION} validation {:.4}", newest.loss), look.validation()));
    }
    if let Some(floor) = state.facts.floor {
        parts.push(Span::styled(format!("{FLOOR}{FLOOR} floor {floor:.4}"), look.floor()));
    }
    spaced(parts)
}

fn newest(state: &State, look: Look) -> Line<'static> {
    let mut parts = Vec::new();
    if let Some(best) = state.best() {
        parts.push(Span::styled(format!("{BEST} best {:.4} at step {}", best.loss, best.step), look.best()));
    }
    if let Some(numbers) = state.numbers {
        parts.push(Span::raw(format!("rate {:.2e}", numbers.rate)));
        parts.push(Span::raw(format!("norm {:.2}", numbers.gradient_norm)));
        parts.push(Span::raw(format!("{} tokens/s", grouped(numbers.tokens_per_second as u64))));
    }
    spaced(parts)
}

fn kept(state: &State, now: Instant, look: Look) -> Line<'static> {
    let saved = match state.saved {
        None => "nothing saved yet".to_owned(),
        Some((step, None)) => format!("resumed from step {step}"),
        Some((step, Some(then))) => {
            format!("saved step {step}, {} ago", duration(now.saturating_duration_since(then).as_secs_f64()))
        }
    };
    let count = |number: u64, what: &str| {
        let words = format!("{number} {what}{}", if number == 1 { "" } else { "s" });
        if number > 0 { Span::styled(words, look.trouble()) } else { Span::raw(words) }
    };
    let mut parts = vec![Span::raw(saved), count(state.faults, "fault"), count(state.spikes, "spike")];
    parts.extend(state.memory.map(|memory| Span::raw(format!("memory {}", bytes(memory)))));
    spaced(parts)
}

fn spaced(parts: Vec<Span<'static>>) -> Line<'static> {
    let mut line = Line::default();
    for (index, part) in parts.into_iter().enumerate() {
        if index > 0 {
            line.push_span("   ");
        }
        line.push_span(part);
    }
    line
}

/// A row of the table of evaluations.
pub(in crate::screen) fn evaluation(evaluated: &Evaluated) -> String {
    let Evaluated { step, loss, perplexity, bits_per_byte, is_best } = evaluated;
    let mark = if *is_best { " +" } else { "" };
    format!("{step:>8}  {loss:>8.4}  {perplexity:>10.2}  {bits_per_byte:>9.4}{mark}")
}

/// Text that does nothing to the terminal but begin a line.
pub(in crate::screen) fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() && letter != '\n' { ' ' } else { letter }).collect()
}
