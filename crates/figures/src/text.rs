//! Text in a figure: how wide it is, where it breaks, and what must not be in it.

use std::sync::Arc;

use kuva::render::layout::{ComputedLayout, Layout, TickFormat};
use kuva::render::render_utils::wrap_text;

/// The height of a line of text, as a multiple of its size.
pub(super) const LINE_HEIGHT: f64 = 1.17;
/// How far below the middle of its capitals a text stands, as a multiple of its size.
pub(super) const HALF_CAPITAL: f64 = 0.36;

/// Text as it may stand in a figure: kuva reads a pair of dollars as mathematics, and XML has no control characters.
pub(super) fn literal(text: &str) -> String {
    text.replace(|character: char| character.is_control(), " ").replace('$', "\\$")
}

/// How wide a text is in the font that kuva measures with, which is wider than most.
pub(super) fn width(text: &str, size: u32) -> f64 {
    // kuva keeps its table of letters to itself, but says how wide the labels of an axis are: at least two letters.
    const FILLER: &str = "0000";
    label_width(format!("{FILLER}{text}"), size) - label_width(FILLER.into(), size)
}

fn label_width(label: String, size: u32) -> f64 {
    let format = TickFormat::Custom(Arc::new(move |_| label.clone()));
    let layout = Layout::new((0.0, 1.0), (0.0, 1.0)).with_tick_size(size).with_y_tick_format(format);
    ComputedLayout::from_layout(&layout).y_tick_label_px
}

/// The width of the widest text.
pub(super) fn widest(texts: &[String], size: u32) -> f64 {
    texts.iter().map(|text| width(text, size)).fold(0.0, f64::max)
}

/// How many letters like those of the text fit into a width.
pub(super) fn letters(text: &str, room: f64, size: u32) -> usize {
    let mean = width(text, size) / text.chars().count().max(1) as f64;
    ((room / mean.max(1.0)) as usize).max(8)
}

/// The lines of a text that has this much room, about equally long.
pub(super) fn lines(text: &str, room: f64, size: u32) -> Vec<String> {
    wrap_text(text, balanced(text, letters(text, room, size)))
}

/// The fewest letters for a line, down from `most`, that take no more lines.
pub(super) fn balanced(text: &str, most: usize) -> usize {
    let lines = wrap_text(text, most).len();
    (1..=most).rev().take_while(|&letters| wrap_text(text, letters).len() == lines).last().unwrap_or(most)
}
