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

pub use chart::{Axis, Chart, Line, Series};
pub use draw::{DrawError, png, png_grid, svg, svg_grid};
pub use page::{Block, Page, Section, Table};
pub use terminal::terminal;
