//! A state onto a terminal of any size: whole at 80 x 24, more on a larger one.

pub(super) mod lines;
mod plots;

use std::time::Instant;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Paragraph, Wrap};

use super::state::State;
use crate::terminal::takes_colours;

/// Below this many columns and rows nothing of use can be drawn; lines are better then.
pub(crate) const SMALLEST: (u16, u16) = (60, 16);
/// From this many on there is room for a second column.
const LARGE: (u16, u16) = (120, 34);
/// The columns of the second one.
const SIDE: u16 = 52;

/// How things look.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    /// `NO_COLOR` turns it off.
    pub(crate) has_colours: bool,
}

impl Look {
    /// As the environment asks for.
    pub(crate) fn of_environment() -> Self {
        Self { has_colours: takes_colours() }
    }

    fn colour(self, colour: Color) -> Style {
        if self.has_colours { Style::new().fg(colour) } else { Style::new() }
    }

    fn training(self) -> Style {
        self.colour(Color::Cyan)
    }

    fn validation(self) -> Style {
        self.colour(Color::Yellow)
    }

    fn best(self) -> Style {
        self.colour(Color::Green)
    }

    fn floor(self) -> Style {
        self.colour(Color::Magenta)
    }

    fn trouble(self) -> Style {
        self.colour(Color::Red)
    }

    fn faint(self) -> Style {
        self.colour(Color::DarkGray)
    }

    fn bold(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }
}

/// Draws everything, as of `now`.
pub(crate) fn draw(state: &State, now: Instant, look: Look, frame: &mut Frame<'_>) {
    let area = frame.area();
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        let (columns, rows) = SMALLEST;
        let words = format!("{}\n(the dashboard needs {columns} x {rows})", lines::progress(state, now, area.width));
        frame.render_widget(Paragraph::new(words).wrap(Wrap { trim: true }), area);
        return;
    }
    if area.width >= LARGE.0 && area.height >= LARGE.1 {
        draw_large(state, now, look, frame);
    } else {
        draw_small(state, now, look, frame);
    }
}

/// Head, losses, numbers, sample, notes, one below the other.
fn draw_small(state: &State, now: Instant, look: Look, frame: &mut Frame<'_>) {
    let sample = if frame.area().height >= 24 { 5 } else { 3 };
    let rows = [
        Constraint::Length(3),
        Constraint::Min(6),
        Constraint::Length(3),
        Constraint::Length(sample),
        Constraint::Length(1),
        Constraint::Length(1),
    ];
    let [head, losses, numbers, sample, note, keys] = Layout::vertical(rows).areas(frame.area());
    draw_head(state, now, look, frame, head);
    plots::losses(state, look, frame, losses);
    frame.render_widget(Paragraph::new(lines::numbers(state, now, look)), numbers);
    draw_sample(state, look, frame, sample);
    let newest = state.notes.last().map(|note| Line::styled(note.as_str(), look.trouble()));
    frame.render_widget(Paragraph::new(newest.unwrap_or_default()), note);
    draw_keys(state, look, frame, keys);
}

/// The losses and the sample to the left; rate, norm, evaluations and notes to the right.
fn draw_large(state: &State, now: Instant, look: Look, frame: &mut Frame<'_>) {
    let rows = [Constraint::Length(3), Constraint::Min(20), Constraint::Length(1)];
    let [head, middle, keys] = Layout::vertical(rows).areas(frame.area());
    draw_head(state, now, look, frame, head);
    let [left, right] = Layout::horizontal([Constraint::Min(60), Constraint::Length(SIDE)]).areas(middle);
    let rows = [Constraint::Min(12), Constraint::Length(3), Constraint::Length(10)];
    let [losses, numbers, sample] = Layout::vertical(rows).areas(left);
    plots::losses(state, look, frame, losses);
    frame.render_widget(Paragraph::new(lines::numbers(state, now, look)), numbers);
    draw_sample(state, look, frame, sample);
    let rows = [Constraint::Length(8), Constraint::Length(8), Constraint::Min(6), Constraint::Length(10)];
    let [rate, norm, evaluations, notes] = Layout::vertical(rows).areas(right);
    plots::rate(state, look, frame, rate);
    plots::norm(state, look, frame, norm);
    draw_evaluations(state, look, frame, evaluations);
    draw_notes(state, look, frame, notes);
    draw_keys(state, look, frame, keys);
}

fn framed<'a>(title: impl Into<Line<'a>>, look: Look) -> Block<'a> {
    Block::new().borders(Borders::ALL).border_style(look.faint()).title(title)
}

fn draw_head(state: &State, now: Instant, look: Look, frame: &mut Frame<'_>, area: Rect) {
    let rows = vec![
        Line::from(vec![
            Span::styled(state.facts.run.as_str(), look.bold()),
            Span::raw(format!("  {}  {}", state.facts.model, state.facts.device)),
        ]),
        Line::styled(lines::progress(state, now, area.width), look.bold()),
        lines::bar(state, area.width, look),
    ];
    frame.render_widget(Paragraph::new(rows), area);
}

fn draw_sample(state: &State, look: Look, frame: &mut Frame<'_>, area: Rect) {
    let (title, text) = match &state.sample {
        Some((step, text)) => (format!(" sample after step {step} "), lines::plain(text)),
        None => (" no sample yet ".to_owned(), String::new()),
    };
    let text = Paragraph::new(text).wrap(Wrap { trim: false }).block(framed(title, look));
    frame.render_widget(text, area);
}

fn draw_evaluations(state: &State, look: Look, frame: &mut Frame<'_>, area: Rect) {
    let rows = usize::from(area.height.saturating_sub(3));
    let mut table = vec![Line::styled(lines::EVALUATION_HEAD, look.faint())];
    let first = state.evaluations.len().saturating_sub(rows);
    table.extend(state.evaluations[first..].iter().map(|evaluated| {
        let style = if evaluated.is_best { look.best() } else { Style::new() };
        Line::styled(lines::evaluation(evaluated), style)
    }));
    frame.render_widget(Paragraph::new(table).block(framed(" evaluations, + where the best so far ", look)), area);
}

fn draw_notes(state: &State, look: Look, frame: &mut Frame<'_>, area: Rect) {
    let width = usize::from(area.width.saturating_sub(2)).max(1);
    let mut room = usize::from(area.height.saturating_sub(2));
    let mut shown = Vec::new();
    for note in state.notes.iter().rev() {
        let rows = note.chars().count().div_ceil(width) + 1;
        if rows > room && !shown.is_empty() {
            break;
        }
        room = room.saturating_sub(rows);
        shown.push(Line::styled(note.as_str(), look.trouble()));
    }
    shown.reverse();
    let notes = Paragraph::new(shown).wrap(Wrap { trim: true }).block(framed(" faults, spikes, warnings ", look));
    frame.render_widget(notes, area);
}

fn draw_keys(state: &State, look: Look, frame: &mut Frame<'_>, area: Rect) {
    let words = if state.is_stopping {
        Line::styled("stopping after this step and saving; q leaves at once, without saving", look.trouble())
    } else {
        Line::styled("q saves and stops, twice leaves at once", look.faint())
    };
    frame.render_widget(Paragraph::new(words), area);
}
