//! Charts as pictures, and a report that shows them. Data in, pictures out: nothing here knows what the curves are of.

mod axis;
mod chart;
mod draw;
mod legend;
mod numbers;
mod page;
mod palette;
mod panel;
mod points;
mod style;
mod terminal;
#[cfg(test)]
mod tests;
mod text;

pub(crate) use chart::{Axis, Chart, Line, Series};
pub(crate) use draw::{png, png_grid, svg, svg_grid};
pub(crate) use page::{Block, Page, Section, Table};
pub(crate) use terminal::terminal;
