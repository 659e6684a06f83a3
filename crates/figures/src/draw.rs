//! Charts as SVG and as PNG.

use std::fmt::Write as _;

use kuva::backend::png::PngBackend;
use kuva::backend::svg::SvgBackend;
use kuva::render::render::{PathData, Primitive, Scene, TextAnchor};

use super::chart::{Chart, Line};
use super::font;
use super::legend::Legend;
use super::panel::panel;
use super::points::dashes;
use super::style::{HEIGHT, Style, WIDTH, theme};
use super::text::{self, literal};

/// A curve has about as many points as this: two in each width of its line, so that a noisy one looks as dense as it
/// is.
const POINTS: usize = 800;
/// All curves of a figure together have no more, so that its SVG stays below 150 kB.
const POINTS_OF_ALL: usize = 6000;
/// A circle takes as many letters as this many points of a curve.
const POINTS_OF_CIRCLE: usize = 8;
/// The least height of a plot above its legend.
const LEAST_PLOT: f64 = 620.0;
/// Between the panels of a grid.
const GUTTER: f64 = 14.0;
const GRID_TITLE: u32 = 28;
/// The size of what is said below a picture.
const REMARK: u32 = 20;
/// Pixels of a PNG for one of its figure.
const PNG_SCALE: f32 = 1.5;

/// A picture could not be encoded.
#[derive(Debug, thiserror::Error)]
#[error("cannot draw the picture: {0}")]
pub struct DrawError(String);

/// A chart as an SVG file.
pub fn svg(chart: &Chart) -> String {
    to_svg(single(chart))
}

/// A chart as a PNG file.
///
/// # Errors
/// If the picture cannot be encoded.
pub fn png(chart: &Chart) -> Result<Vec<u8>, DrawError> {
    to_png(single(chart))
}

/// Small charts side by side in one SVG file, with one legend for all.
pub fn svg_grid(charts: &[Chart], columns: usize, title: &str) -> String {
    to_svg(grid(charts, columns, title))
}

/// Small charts side by side in one PNG file, with one legend for all.
///
/// # Errors
/// If the picture cannot be encoded.
pub fn png_grid(charts: &[Chart], columns: usize, title: &str) -> Result<Vec<u8>, DrawError> {
    to_png(grid(charts, columns, title))
}

fn single(chart: &Chart) -> Scene {
    let legend = Legend::new(std::slice::from_ref(chart), WIDTH);
    let height = (HEIGHT - legend.height()).max(LEAST_PLOT);
    let style = Style { height, ..Style::slide() };
    let mut scene = panel(chart, &style, points_of_each(std::slice::from_ref(chart)));
    scene.height = (height + legend.height()).round();
    legend.draw(&mut scene, height);
    scene
}

fn grid(charts: &[Chart], columns: usize, title: &str) -> Scene {
    let columns = columns.clamp(1, charts.len().max(1));
    let style = Style::panel((WIDTH - GUTTER * (columns as f64 + 1.0)) / columns as f64);
    let legend = Legend::new(charts, WIDTH);
    let mut scene = Scene::new(WIDTH, HEIGHT);
    scene.background_color = Some(theme().background);
    scene.text_color = Some(theme().text_color);
    scene.font_family = theme().font_family;
    let top = grid_title(&mut scene, title);
    let limit = points_of_each(charts);
    for (index, chart) in charts.iter().enumerate() {
        let x = GUTTER + (index % columns) as f64 * (style.width + GUTTER);
        let y = top + (index / columns) as f64 * (style.height + GUTTER);
        let transform = Some(format!("translate({x:.1},{y:.1})"));
        scene.add(Primitive::GroupStart { transform, title: None, extra_attrs: None });
        scene.elements.extend(panel(chart, &style, limit).elements);
        scene.add(Primitive::GroupEnd);
    }
    let bottom = top + charts.len().div_ceil(columns) as f64 * (style.height + GUTTER);
    legend.draw(&mut scene, bottom);
    scene.height = (bottom + legend.height()).round();
    scene
}

/// Writes the title over all panels and returns where they begin.
fn grid_title(scene: &mut Scene, title: &str) -> f64 {
    if title.is_empty() {
        return GUTTER;
    }
    let lines = text::lines(&literal(title), 0.94 * WIDTH, GRID_TITLE);
    let height = text::LINE_HEIGHT * f64::from(GRID_TITLE);
    let below = GUTTER + lines.len() as f64 * height;
    for (index, content) in lines.into_iter().enumerate() {
        scene.add(Primitive::Text {
            x: 0.5 * WIDTH,
            y: GUTTER + height * (index as f64 + 0.8),
            content,
            size: GRID_TITLE,
            anchor: TextAnchor::Middle,
            rotate: None,
            bold: false,
            color: None,
        });
    }
    below + GUTTER
}

/// How many points each curve may have.
fn points_of_each(charts: &[Chart]) -> usize {
    let series = charts.iter().flat_map(|chart| &chart.series);
    let weights = series.map(|series| {
        let curve = if series.line == Line::Points { POINTS_OF_CIRCLE } else { 1 };
        curve + if series.band.is_some() { 2 } else { 0 }
    });
    (POINTS_OF_ALL / weights.sum::<usize>().max(1)).clamp(20, POINTS)
}

fn to_svg(mut scene: Scene) -> String {
    scene.elements.iter_mut().for_each(tidy);
    // kuva leaves out what lets a picture shrink, and what keeps the corners of a noisy curve from growing thorns.
    let attributes = format!("<svg viewBox=\"0 0 {} {}\" stroke-linejoin=\"round\"", scene.width, scene.height);
    SvgBackend::new().render_scene(&scene).replacen("<svg", &attributes, 1)
}

/// Coordinates in a few digits: kuva rounds them to hundredths, but by a product that has 17.
fn tidy(element: &mut Primitive) {
    let shorten = |coordinate: &mut f64| *coordinate = quarters(*coordinate);
    line_to_path(element);
    match element {
        Primitive::Path(path) => path.d = short_path(&path.d),
        Primitive::Line { x1, y1, x2, y2, .. } => [x1, y1, x2, y2].into_iter().for_each(shorten),
        Primitive::Text { x, y, .. } => [x, y].into_iter().for_each(shorten),
        Primitive::Rect { x, y, width, height, .. } => [x, y, width, height].into_iter().for_each(shorten),
        Primitive::Circle { cx, cy, .. } => [cx, cy].into_iter().for_each(shorten),
        Primitive::CircleBatch { cx, cy, r, .. } => cx.iter_mut().chain(cy).chain([r]).for_each(shorten),
        _ => {}
    }
}

/// A curve as the path that kuva would draw, but with fewer digits.
pub(super) fn line_to_path(element: &mut Primitive) {
    if let Primitive::PolyLine { points, stroke, stroke_width, stroke_dasharray } = element {
        *element = Primitive::Path(Box::new(PathData {
            d: path(points),
            fill: None,
            stroke: stroke.clone(),
            stroke_width: quarters(*stroke_width),
            opacity: None,
            stroke_dasharray: stroke_dasharray.clone(),
        }));
    }
}

fn quarters(coordinate: f64) -> f64 {
    (4.0 * coordinate).round() / 4.0
}

/// A path through points, to a tenth of a pixel.
fn path(points: &[(f64, f64)]) -> String {
    let mut path = String::new();
    for (index, (x, y)) in points.iter().enumerate() {
        let command = if index == 0 { 'M' } else { 'L' };
        let _ = write!(path, "{command} {} {} ", tenths(*x), tenths(*y));
    }
    path
}

/// A path as kuva writes it, in fewer letters.
fn short_path(path: &str) -> String {
    let shorter = path.split_whitespace().map(|word| word.parse().map_or_else(|_| word.to_owned(), tenths));
    shorter.collect::<Vec<_>>().join(" ").replace("M ", "M").replace(" L ", "L")
}

fn tenths(coordinate: f64) -> String {
    let rounded = (10.0 * coordinate).round();
    if rounded % 10.0 == 0.0 { format!("{:.0}", rounded / 10.0) } else { format!("{:.1}", rounded / 10.0) }
}

fn to_png(mut scene: Scene) -> Result<Vec<u8>, DrawError> {
    say_what_is_missing(&mut scene);
    scene.elements = scene.elements.into_iter().flat_map(without_dashes).collect();
    PngBackend::new().with_scale(PNG_SCALE).render_scene(&scene).map_err(DrawError)
}

/// Boxes in place of letters are explained in a line below the picture.
fn say_what_is_missing(scene: &mut Scene) {
    let text = |element: &Primitive| match element {
        Primitive::Text { content, .. } => Some(content.clone()),
        _ => None,
    };
    let texts: Vec<String> = scene.elements.iter().filter_map(text).collect();
    if font::missing(texts.iter().map(String::as_str)).is_empty() {
        return;
    }
    let height = text::LINE_HEIGHT * f64::from(REMARK);
    scene.add(Primitive::Text {
        x: GUTTER,
        y: scene.height + 0.7 * height,
        content: "Boxes are letters that the font of this PNG lacks; the SVG beside it shows them.".into(),
        size: REMARK,
        anchor: TextAnchor::Start,
        rotate: None,
        bold: false,
        color: None,
    });
    scene.height = (scene.height + 1.3 * height).round();
}

/// A dashed line as many lines: in a PNG, kuva starts the dashes anew at each point, and a curve would come out solid.
fn without_dashes(element: Primitive) -> Vec<Primitive> {
    let Primitive::PolyLine { points, stroke, stroke_width, stroke_dasharray: Some(pattern) } = element else {
        return vec![element];
    };
    let lengths: Vec<f64> = pattern.split(' ').filter_map(|length| length.parse().ok()).collect();
    // Lines have round ends there, which stand out by half of their width.
    let (dash, gap) = ((lengths[0] - stroke_width).max(0.1), lengths[1] + stroke_width);
    let piece = |points| Primitive::PolyLine { points, stroke: stroke.clone(), stroke_width, stroke_dasharray: None };
    dashes(&points, &[dash, gap]).into_iter().map(piece).collect()
}
