//! Charts on a terminal, in Unicode and without colours.

use kuva::backend::terminal::TerminalBackend;
use kuva::plot::LinePlot;
use kuva::plot::scatter::ScatterPlot;
use kuva::render::layout::ComputedLayout;
use kuva::render::plots::Plot;
use kuva::render::render::{Primitive, Scene, TextAnchor, render_multiple};

use super::chart::{Chart, Line};
use super::draw::line_to_path;
use super::panel::{Rulers, layout};
use super::style::Style;

/// A letter on the terminal, in pixels of the scene that is drawn there.
const CELL: (f64, f64) = (10.0, 20.0);
/// What the curves are called where they cannot have colours.
const NAMES: &str = "abcdefghijklmnopqrstuvwxyz";

/// A plot of this many columns, with a letter on each curve that has a name.
pub fn terminal(chart: &Chart, width: usize) -> String {
    let columns = width.clamp(40, 160);
    let rows = (columns / 4).clamp(12, 28);
    let (wide, high) = (columns as f64 * CELL.0, rows as f64 * CELL.1);
    let ticks = ((columns / 10).min(9), (rows / 3).min(9));
    let style = Style { width: wide, height: high, tick: 16, tick_mark: 12.0, ticks, mark: 4.0, ..Style::slide() };
    let scene = scene(chart, &style, 4 * columns);
    let picture = without_colours(&TerminalBackend::new(columns, rows).render_scene(&scene));
    let mut text = format!("{}\n{}\n", plain(&chart.title), plain(&chart.y.label));
    for line in picture.lines().map(str::trim_end).skip_while(|line| line.is_empty()) {
        text.push_str(line);
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text.push_str(&format!("\n{:>columns$}\n", plain(&chart.x.label)));
    for (name, series) in NAMES.chars().cycle().zip(&chart.series).filter(|(_, series)| !series.label.is_empty()) {
        text.push_str(&format!("  {name}  {}\n", plain(&series.label)));
    }
    text.extend(chart.note.iter().map(|note| format!("{}\n", plain(note))));
    text
}

/// Curves and axes alone: a band would hide what is behind it, and so would a grid.
fn scene(chart: &Chart, style: &Style, limit: usize) -> Scene {
    let rulers = Rulers::new(chart, style);
    let layout = layout(&rulers, style).with_show_grid(false);
    let computed = ComputedLayout::from_layout(&layout);
    let mut plots = Vec::new();
    let mut names = Vec::new();
    for (index, (name, series)) in NAMES.chars().cycle().zip(&chart.series).enumerate() {
        let parts = rulers.curve(chart, series, limit);
        let all: Vec<_> = parts.iter().flatten().map(|&(x, y)| (computed.map_x(x), computed.map_y(y))).collect();
        if !series.label.is_empty() {
            names.extend(name_place(&all, index, chart.series.len()).map(|place| (name, place)));
        }
        plots.extend(parts.into_iter().map(|part| {
            if series.line == Line::Points || part.len() == 1 {
                Plot::Scatter(ScatterPlot::new().with_data(part).with_size(style.mark))
            } else {
                Plot::Line(LinePlot::new().with_data(part))
            }
        }));
    }
    // Or axes alone, which kuva leaves out where there is no plot.
    plots.push(Plot::Line(LinePlot::new()));
    let mut scene = render_multiple(plots, layout);
    // kuva draws what is nearly level in a polyline as level, letter by letter.
    scene.elements.iter_mut().for_each(line_to_path);
    for (name, (x, y)) in names {
        scene.add(Primitive::Text {
            x,
            // On the row that the curve is in.
            y: y + 6.0,
            content: name.into(),
            size: 16,
            anchor: TextAnchor::Start,
            rotate: None,
            bold: false,
            color: None,
        });
    }
    scene
}

/// Where the name of a curve stands: each of them a little further along, so that they rarely meet.
fn name_place(points: &[(f64, f64)], index: usize, of: usize) -> Option<(f64, f64)> {
    let (first, last) = (points.first()?, points.last()?);
    let x = first.0 + (last.0 - first.0) * (index as f64 + 1.0) / (of as f64 + 1.0);
    points.iter().copied().min_by(|a, b| (a.0 - x).abs().total_cmp(&(b.0 - x).abs()))
}

/// A picture without the sequences that colour it.
fn without_colours(picture: &str) -> String {
    let mut pieces = picture.split('\u{1b}');
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |text, piece| text + piece.split_once('m').map_or(piece, |(_, after)| after))
}

/// Text that does nothing to the terminal.
fn plain(text: &str) -> String {
    text.replace(|character: char| character.is_control(), " ")
}
