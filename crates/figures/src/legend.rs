//! The legend, below the plot where it covers nothing. kuva's own legend cuts long labels off, draws a swatch so short
//! that a dashed line looks like a solid one, and has no swatch for a band.

use kuva::render::color::Color;
use kuva::render::render::{Primitive, Scene, TextAnchor};

use super::chart::{Chart, Line, Series};
use super::marks::{is_marked, mark};
use super::palette::colour;
use super::style::{BAND_OPACITY, CONTOUR, dashes, width};
use super::text::{self, literal};

/// The size of the letters.
const SIZE: u32 = 22;
/// From one line of a label to the next.
const LINE: f64 = 27.0;
/// From one entry to the next, beyond its lines.
const GAP: f64 = 5.0;
/// Three dashes and two gaps.
const SWATCH: f64 = 17.0 * STROKE;
/// From a swatch to its label.
const INDENT: f64 = SWATCH + 12.0;
/// From one column to the next.
const BETWEEN: f64 = 36.0;
const PADDING: f64 = 14.0;
const STROKE: f64 = 4.0;
const MARK: f64 = 5.0;

/// What the legend says, in columns.
pub(super) struct Legend {
    columns: Vec<Column>,
    width: f64,
}

struct Column {
    entries: Vec<Entry>,
    width: f64,
}

#[derive(Debug, Clone, PartialEq)]
struct Entry {
    lines: Vec<String>,
    line: Line,
    colour: usize,
    has_band: bool,
    is_marked: bool,
    /// Whether it is a point with a mark, and no line.
    is_point: bool,
}

impl Entry {
    fn width(&self) -> f64 {
        INDENT + text::widest(&self.lines, SIZE)
    }

    fn height(&self) -> f64 {
        LINE * self.lines.len() as f64 + GAP
    }
}

impl Column {
    fn height(&self) -> f64 {
        self.entries.iter().map(Entry::height).sum()
    }
}

impl Legend {
    /// The legend of several charts: what looks the same and is called the same is listed once.
    pub(super) fn new(charts: &[Chart], width: f64) -> Self {
        let room = width - 2.0 * PADDING;
        let mut entries: Vec<Entry> = Vec::new();
        let all = charts.iter().flat_map(|chart| chart.series.iter().map(move |series| (chart, series)));
        for (chart, series) in all.filter(|(_, series)| !series.label.is_empty()) {
            let label = match covered(chart, series) {
                Some(other) => format!("{} (on the line of “{}”)", series.label, other.label),
                None => series.label.clone(),
            };
            let entry = Entry {
                lines: text::lines(&literal(&label), room - INDENT, SIZE),
                line: series.line,
                colour: series.colour,
                has_band: series.band.is_some(),
                is_marked: is_marked(chart, series),
                is_point: is_marked(chart, series) && series.points.len() == 1,
            };
            if !entries.contains(&entry) {
                entries.push(entry);
            }
        }
        // What is said of all curves comes after them.
        entries.sort_by_key(|entry| matches!(entry.line, Line::Thin | Line::Contour));
        Self { columns: columns(&entries, room), width }
    }

    /// How much room it takes.
    pub(super) fn height(&self) -> f64 {
        let tallest = self.columns.iter().map(Column::height).fold(0.0, f64::max);
        if tallest > 0.0 { tallest + 2.0 * PADDING } else { 0.0 }
    }

    /// Draws it with its upper edge at `top`.
    pub(super) fn draw(&self, scene: &mut Scene, top: f64) {
        let total: f64 = self.columns.iter().map(|column| column.width + BETWEEN).sum::<f64>() - BETWEEN;
        let mut x = (0.5 * (self.width - total)).max(PADDING);
        for column in &self.columns {
            let mut y = top + PADDING;
            for entry in &column.entries {
                entry.draw(scene, x, y);
                y += entry.height();
            }
            x += column.width + BETWEEN;
        }
    }
}

/// The first curve of a chart that lies under this one, point by point.
fn covered<'a>(chart: &'a Chart, series: &Series) -> Option<&'a Series> {
    let is_close = |(a, b): (&(f64, f64), &(f64, f64))| a.0 == b.0 && (a.1 - b.1).abs() <= 1e-3 * a.1.abs();
    let is_covered = |other: &&Series| {
        other.line == Line::Solid
            && !other.label.is_empty()
            && other.points.len() == series.points.len()
            && other.points.iter().zip(&series.points).all(is_close)
    };
    let before = chart.series.iter().take_while(|other| !std::ptr::eq(*other, series));
    before.into_iter().find(is_covered).filter(|_| series.line == Line::Solid && series.points.len() > 1)
}

/// As many columns as fit.
fn columns(entries: &[Entry], room: f64) -> Vec<Column> {
    let in_rows = |rows: usize| -> Vec<Column> {
        let column = |entries: &[Entry]| Column {
            width: entries.iter().map(Entry::width).fold(0.0, f64::max),
            entries: entries.to_vec(),
        };
        entries.chunks(rows).map(column).collect()
    };
    let width = |columns: &[Column]| columns.iter().map(|column| column.width + BETWEEN).sum::<f64>() - BETWEEN;
    let most = entries.len().max(1);
    (1..most).map(in_rows).find(|columns| width(columns) <= room).unwrap_or_else(|| in_rows(most))
}

impl Entry {
    fn draw(&self, scene: &mut Scene, x: f64, y: f64) {
        let middle = y + 0.5 * LINE;
        let stroke = Color::from(if self.line == Line::Contour { CONTOUR } else { colour(self.colour) });
        if self.has_band {
            scene.add(Primitive::Rect {
                x,
                y: middle - 0.3 * LINE,
                width: SWATCH,
                height: 0.6 * LINE,
                fill: stroke.clone(),
                stroke: None,
                stroke_width: None,
                opacity: Some(BAND_OPACITY),
            });
        }
        if !self.is_point {
            scene.add(self.swatch(x, middle, stroke));
        }
        if self.is_marked {
            scene.add(mark(self.colour, (x + 0.5 * SWATCH, middle), MARK));
        }
        for (index, line) in self.lines.iter().enumerate() {
            scene.add(Primitive::Text {
                x: x + INDENT,
                y: middle + LINE * index as f64 + text::HALF_CAPITAL * f64::from(SIZE),
                content: line.clone(),
                size: SIZE,
                anchor: TextAnchor::Start,
                rotate: None,
                bold: false,
                color: None,
            });
        }
    }

    fn swatch(&self, x: f64, middle: f64, stroke: Color) -> Primitive {
        if self.line == Line::Points {
            return Primitive::Circle {
                cx: x + 0.5 * SWATCH,
                cy: middle,
                r: 6.0,
                fill: stroke,
                fill_opacity: None,
                stroke: None,
                stroke_width: None,
            };
        }
        Primitive::PolyLine {
            points: vec![(x, middle), (x + SWATCH, middle)],
            stroke,
            stroke_width: width(self.line, STROKE),
            stroke_dasharray: dashes(self.line, STROKE).map(|[dash, gap]| format!("{dash:.1} {gap:.1}")),
        }
    }
}
