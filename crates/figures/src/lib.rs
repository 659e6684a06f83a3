//! Charts as pictures, and a report that shows them. Data in, pictures out: nothing here knows what the curves are of.
//!
//! Curves are told apart by colour and by mark; one that lies on another says so in the legend, and one that leaves the
//! picture does so with an arrow. Bounds are dashed, what is exact is dotted, single paths are thin.
//!
//! A [`Chart`] is plain data. [`svg`] and [`png`] draw it, [`svg_grid`] and [`png_grid`] draw many side by side,
//! [`terminal`] draws it in letters. [`heat_svg`] draws tables of shades. A [`Page`] is a report that needs no file
//! beside itself.
//!
//! ```
//! use kiln_figures::{Axis, Block, Chart, Page, Section, Series, svg, terminal};
//!
//! let losses = vec![(1.0, 4.2), (10.0, 3.1), (100.0, 2.4)];
//! let chart = Chart {
//!     title: "Loss".into(),
//!     x: Axis::logarithmic("update"),
//!     y: Axis::linear("nats per token"),
//!     series: vec![Series::curve("training", 0, losses)],
//!     note: None,
//! };
//! assert!(terminal(&chart, 60).contains("training"));
//!
//! let picture = Block::Picture { svg: svg(&chart), caption: "The loss falls.".into() };
//! let page = Page {
//!     title: "A run".into(),
//!     introduction: vec!["One curve.".into()],
//!     sections: vec![Section { heading: "Loss".into(), blocks: vec![picture] }],
//! };
//! assert!(page.html().starts_with("<!DOCTYPE html>"));
//! ```

mod axis;
mod chart;
mod draw;
mod font;
mod heat;
mod legend;
mod marks;
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

pub use chart::{Axis, Chart, Line, Scale, Series};
pub use draw::{DrawError, png, png_grid, svg, svg_grid};
pub use heat::{Cell, Heat, heat_svg, heat_terminal};
pub use page::{Block, Embedded, Page, Section, Table};
pub use terminal::terminal;
