//! One chart on its pair of axes, as a scene of kuva.

use kuva::plot::scatter::ScatterPlot;
use kuva::plot::{BandPlot, LinePlot, LineStyle};
use kuva::render::layout::{ComputedLayout, Layout};
use kuva::render::plots::Plot;
use kuva::render::render::{Primitive, Scene, TextAnchor, render_multiple};

use super::axis::{Fit, Ruler, position};
use super::chart::{Chart, Line, Scale, Series};
use super::marks::{self, Place};
use super::palette::colour;
use super::points::{Slice, cut_band, cut_curve, last_exit, thin};
use super::style::{BAND_OPACITY, CONTOUR, Style, dashes, theme, width};
use super::text::{self, literal};

/// The share of the width that a title may take, and a label of an axis.
const TITLE_ROOM: f64 = 0.84;
const LABEL_ROOM: f64 = 0.88;

/// The two axes of a chart.
pub(super) struct Rulers {
    pub(super) x: Ruler,
    pub(super) y: Ruler,
}

impl Rulers {
    pub(super) fn new(chart: &Chart, style: &Style) -> Self {
        let points = || chart.series.iter().flat_map(|series| placed(chart, series));
        let edges = chart.series.iter().flat_map(|series| edges(chart, series));
        let x = |ticks| Ruler::new(&chart.x, points().map(|point| point.0), std::iter::empty(), Fit::Tight, ticks);
        let fits = |ruler: &Ruler| {
            let labels = ruler.labels();
            labels.len() as f64 * (text::widest(&labels, style.tick) + f64::from(style.tick)) < 0.9 * style.width
        };
        Self {
            x: (3..=style.ticks.0).rev().map(x).find(fits).unwrap_or_else(|| x(2)),
            y: Ruler::new(&chart.y, points().map(|point| point.1), edges, Fit::Loose, style.ticks.1),
        }
    }

    fn coordinates(&self, (x, y): (f64, f64)) -> (f64, f64) {
        (self.x.coordinate(x), self.y.coordinate(y))
    }

    /// The parts of a series that are inside of the plot, in kuva's coordinates.
    pub(super) fn curve(&self, chart: &Chart, series: &Series, limit: usize) -> Vec<Vec<(f64, f64)>> {
        let slices: Vec<Slice> = placed(chart, series).map(|(x, y)| (x, y, y)).collect();
        let (x, y) = self.ranges();
        let kept = thin(&slices, x, limit).into_iter().map(|index| (slices[index].0, slices[index].1));
        let points: Vec<_> = kept.collect();
        let parts = if series.line == Line::Points || points.len() == 1 {
            let is_inside = |point: &(f64, f64)| point.0 >= x.0 && point.0 <= x.1 && point.1 >= y.0 && point.1 <= y.1;
            vec![points.into_iter().filter(is_inside).collect()]
        } else {
            cut_curve(&points, x, y)
        };
        let to_coordinates = |part: Vec<_>| part.into_iter().map(|point| self.coordinates(point)).collect();
        parts.into_iter().filter(|part| !part.is_empty()).map(to_coordinates).collect()
    }

    /// Where a series leaves the plot for good through its upper (true) or its lower edge, in kuva's coordinates.
    fn exit(&self, chart: &Chart, series: &Series) -> Option<((f64, f64), bool)> {
        let points: Vec<_> = placed(chart, series).collect();
        let (x, y) = self.ranges();
        let (place, is_upward) = last_exit(&points, x, y)?;
        Some((self.coordinates(place), is_upward))
    }

    /// The axes with the shorter one stretched, so that their units are equally long on a plot of this width and
    /// height.
    fn with_equal_units(self, width: f64, height: f64) -> Self {
        let unit = |ruler: &Ruler, length: f64| length / (ruler.high - ruler.low);
        let ratio = unit(&self.x, width) / unit(&self.y, height);
        if ratio > 1.0 {
            Self { x: self.x.stretched(ratio), y: self.y }
        } else {
            Self { x: self.x, y: self.y.stretched(1.0 / ratio) }
        }
    }

    fn ranges(&self) -> ((f64, f64), (f64, f64)) {
        ((self.x.low, self.x.high), (self.y.low, self.y.high))
    }
}

/// The points of a series that have a place on the axes.
fn placed(chart: &Chart, series: &Series) -> impl Iterator<Item = (f64, f64)> {
    let (x, y) = (chart.x.scale, chart.y.scale);
    series.points.iter().filter_map(move |point| Some((position(x, point.0)?, position(y, point.1)?)))
}

/// The band of a series where it has a place on the axes. An edge that is out of sight is infinitely far.
fn slices(chart: &Chart, series: &Series) -> Vec<Slice> {
    let band = series.band.iter().flatten();
    let slice = |(&(x, _), &(low, high)): (&(f64, f64), &(f64, f64))| {
        let x = position(chart.x.scale, x)?;
        let (low, high) = (low.min(high), low.max(high));
        let is_nowhere = low.is_nan() || high.is_nan() || high.is_infinite() && low.is_infinite();
        let above = if high == f64::INFINITY { Some(f64::INFINITY) } else { position(chart.y.scale, high) };
        let below = position(chart.y.scale, low).unwrap_or(f64::NEG_INFINITY);
        (!is_nowhere).then_some((x, below, above?))
    };
    series.points.iter().zip(band).filter_map(slice).collect()
}

/// The finite edges of a band.
fn edges(chart: &Chart, series: &Series) -> impl Iterator<Item = f64> {
    slices(chart, series).into_iter().flat_map(|slice| [slice.1, slice.2]).filter(|edge| edge.is_finite())
}

/// Draws a chart without its legend, with at most about `limit` points for a curve.
pub(super) fn panel(chart: &Chart, style: &Style, limit: usize) -> Scene {
    let whole = |rulers: &Rulers| margins(titles(layout(rulers, style), chart, style), rulers, chart, style);
    let mut rulers = Rulers::new(chart, style);
    if chart.x.scale == Scale::Equal && chart.y.scale == Scale::Equal {
        let computed = ComputedLayout::from_layout(&whole(&rulers));
        rulers = rulers.with_equal_units(computed.plot_width(), computed.plot_height());
    }
    let layout = whole(&rulers);
    let computed = ComputedLayout::from_layout(&layout);
    let mut scene = render_multiple(plots(chart, &rulers, style, limit), layout);
    label_y(&mut scene, chart, style, computed.margin_top);
    scene.elements.extend(marked(chart, &rulers, &computed, style, limit));
    // Everything is inside of the plot already. kuva numbers its clips, so that no two drawings would be alike.
    scene.elements.retain(|element| !matches!(element, Primitive::ClipStart { .. } | Primitive::ClipEnd));
    scene.defs.clear();
    scene
}

/// Axes, ticks, and grid.
pub(super) fn layout(rulers: &Rulers, style: &Style) -> Layout {
    let (x, y) = (rulers.x.bounds(), rulers.y.bounds());
    let mut layout = Layout::new(x, y)
        .with_width(style.width)
        .with_height(style.height)
        .with_x_axis_min(x.0)
        .with_x_axis_max(x.1)
        .with_y_axis_min(y.0)
        .with_y_axis_max(y.1)
        .with_x_tick_format(rulers.x.format())
        .with_y_tick_format(rulers.y.format())
        .with_tick_size(style.tick)
        .with_tick_length(style.tick_mark)
        .with_axis_line_width(1.5)
        .with_theme(theme());
    layout.log_x = rulers.x.is_logarithmic();
    layout.log_y = rulers.y.is_logarithmic();
    layout.x_tick_step = rulers.x.step();
    layout.y_tick_step = rulers.y.step();
    layout
}

/// Room for the labels. kuva measures its own labels on a logarithmic axis, and ours say something else.
fn margins(layout: Layout, rulers: &Rulers, chart: &Chart, style: &Style) -> Layout {
    let left = text::widest(&rulers.y.labels(), style.tick) + 2.5 * style.tick_mark + 6.0;
    let right = 0.5 * text::widest(&rulers.x.labels(), style.tick) + 0.008 * style.width;
    let (label, tick) = (f64::from(style.label), f64::from(style.tick));
    let lines = |text: &str| text::lines(text, LABEL_ROOM * style.width, style.label).len() as f64;
    let titles = ComputedLayout::from_layout(&layout).margin_top;
    let above = if chart.y.label.is_empty() { 0.6 * tick } else { 1.3 * label * lines(&chart.y.label) };
    let below = style.tick_mark + 1.2 * tick + 1.3 * label * lines(&chart.x.label);
    layout
        .with_force_margins(left.max(0.5 * tick + 6.0), right)
        .with_force_margins_y(titles + above, below + 0.3 * label)
}

/// Writes the label of the y axis above it, where it is read without tilting one's head. kuva turns it, and its PNG has
/// thick and jagged letters then.
fn label_y(scene: &mut Scene, chart: &Chart, style: &Style, top: f64) {
    let label = f64::from(style.label);
    let lines = text::lines(&literal(&chart.y.label), LABEL_ROOM * style.width, style.label);
    let first = top - 0.85 * label - text::LINE_HEIGHT * label * (lines.len() as f64 - 1.0);
    for (index, content) in lines.into_iter().enumerate() {
        scene.add(Primitive::Text {
            x: 0.008 * style.width,
            y: first + text::LINE_HEIGHT * label * index as f64,
            content,
            size: style.label,
            anchor: TextAnchor::Start,
            rotate: None,
            bold: false,
            color: None,
        });
    }
}

/// Title, note, and the label of the x axis, wrapped to the room that they have.
fn titles(mut layout: Layout, chart: &Chart, style: &Style) -> Layout {
    let wrap = |text: &str, share: f64, size| text::balanced(text, text::letters(text, share * style.width, size));
    layout = layout.with_x_label(literal(&chart.x.label)).with_label_size(style.label).with_x_label_wrap(wrap(
        &literal(&chart.x.label),
        LABEL_ROOM,
        style.label,
    ));
    if !chart.title.is_empty() {
        let title = literal(&chart.title);
        let size = title_size(&title, style);
        layout = layout.with_title_wrap(wrap(&title, TITLE_ROOM, size)).with_title(title).with_title_size(size);
    }
    if let Some(note) = &chart.note {
        let note = literal(note);
        let wrap = wrap(&note, TITLE_ROOM, style.note);
        layout = layout.with_subtitle(note).with_subtitle_size(style.note).with_subtitle_wrap(wrap);
    }
    layout
}

/// The largest size in which a title takes at most two lines.
fn title_size(title: &str, style: &Style) -> u32 {
    let sizes = [1.0, 0.9, 0.8, 0.7].map(|share| (f64::from(style.title) * share) as u32);
    let fits = |size: &u32| text::lines(title, TITLE_ROOM * style.width, *size).len() <= 2;
    sizes.into_iter().find(fits).unwrap_or(sizes[3])
}

/// The marks on the curves, over everything else.
fn marked(chart: &Chart, rulers: &Rulers, computed: &ComputedLayout, style: &Style, limit: usize) -> Vec<Primitive> {
    let on_paper = |(x, y): (f64, f64)| -> Place { (computed.map_x(x), computed.map_y(y)) };
    let named: Vec<&Series> = chart.series.iter().filter(|series| marks::is_marked(chart, series)).collect();
    let mut all = Vec::new();
    for (index, series) in named.iter().enumerate() {
        let parts = rulers.curve(chart, series, limit).into_iter();
        let parts: Vec<Vec<Place>> = parts.map(|part| part.into_iter().map(on_paper).collect()).collect();
        let places = marks::places(&parts, index, named.len());
        all.extend(places.into_iter().map(|place| marks::mark(series.colour, place, style.mark)));
    }
    // A single point, such as a minimum, is not to vanish under the marks of the curves that lead to it.
    for series in chart.series.iter().filter(|series| series.line == Line::Points && series.points.len() == 1) {
        let place = rulers.curve(chart, series, limit).into_iter().flatten().next();
        all.extend(place.map(|place| marks::dot(series.colour, on_paper(place), style.mark)));
    }
    for series in chart.series.iter().filter(|series| series.line == Line::Solid) {
        if let Some((place, is_upward)) = rulers.exit(chart, series) {
            all.push(marks::exit(series.colour, on_paper(place), is_upward, style.mark));
        }
    }
    all
}

/// Bands behind lines of equal height behind curves, in the order of the chart.
fn plots(chart: &Chart, rulers: &Rulers, style: &Style, limit: usize) -> Vec<Plot> {
    let bands = chart.series.iter().filter_map(|series| band(chart, series, rulers, limit));
    let is_contour = |series: &&Series| series.line == Line::Contour;
    let (contours, others): (Vec<_>, Vec<_>) = chart.series.iter().partition(is_contour);
    let curves = contours.into_iter().chain(others).flat_map(|series| curves(chart, series, rulers, style, limit));
    // Without any plot, kuva leaves out the axes too.
    bands.chain(curves).chain([Plot::Line(LinePlot::new())]).collect()
}

fn band(chart: &Chart, series: &Series, rulers: &Rulers, limit: usize) -> Option<Plot> {
    let all = slices(chart, series);
    let (x, y) = rulers.ranges();
    let kept: Vec<_> = thin(&all, x, limit).into_iter().map(|index| all[index]).collect();
    let cut = cut_band(&kept, x, y);
    let xs = cut.iter().map(|slice| rulers.x.coordinate(slice.0));
    let lower = cut.iter().map(|slice| rulers.y.coordinate(slice.1));
    let upper = cut.iter().map(|slice| rulers.y.coordinate(slice.2));
    let band = BandPlot::new(xs, lower, upper).with_color(colour(series.colour)).with_opacity(BAND_OPACITY);
    (cut.len() > 1).then_some(Plot::Band(band))
}

fn curves(chart: &Chart, series: &Series, rulers: &Rulers, style: &Style, limit: usize) -> Vec<Plot> {
    let colour = if series.line == Line::Contour { CONTOUR } else { colour(series.colour) };
    let plot = |part: Vec<(f64, f64)>| {
        if series.line == Line::Points || part.len() == 1 {
            return Plot::Scatter(ScatterPlot::new().with_data(part).with_color(colour).with_size(style.mark));
        }
        let line = LinePlot::new().with_data(part).with_color(colour).with_stroke_width(width(series.line, style.line));
        Plot::Line(match dashes(series.line, style.line) {
            Some([dash, gap]) => line.with_line_style(LineStyle::Custom(format!("{dash:.1} {gap:.1}"))),
            None => line,
        })
    };
    rulers.curve(chart, series, limit).into_iter().map(plot).collect()
}
