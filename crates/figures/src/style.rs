//! Sizes and colours of everything but the curves.

use kuva::render::theme::Theme;

use super::chart::Line;

/// How much of its colour a band has.
pub(super) const BAND_OPACITY: f64 = 0.2;

/// The sizes of a panel, in pixels of a figure that is 1280 wide.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) title: u32,
    pub(super) label: u32,
    pub(super) tick: u32,
    pub(super) note: u32,
    /// The length of a tick mark.
    pub(super) tick_mark: f64,
    /// About how many ticks there are along x and y.
    pub(super) ticks: (usize, usize),
    pub(super) line: f64,
    pub(super) mark: f64,
}

/// The width of every figure: a lecture slide.
pub(super) const WIDTH: f64 = 1280.0;
/// The height of a figure with one panel; a long legend adds to it.
pub(super) const HEIGHT: f64 = 800.0;

impl Style {
    /// One panel that fills a slide.
    pub(super) fn slide() -> Self {
        Self {
            width: WIDTH,
            height: HEIGHT,
            title: 30,
            label: 25,
            tick: 22,
            note: 20,
            tick_mark: 6.0,
            ticks: (9, 8),
            line: 3.5,
            mark: 5.0,
        }
    }

    /// A panel of a grid. Letters shrink less than the panel does.
    pub(super) fn panel(width: f64) -> Self {
        let share = (width / WIDTH).sqrt();
        let size = |size: f64, least: f64| (size * share).max(least).round() as u32;
        let ticks = |per: f64| ((width / per) as usize).clamp(3, 9);
        Self {
            width,
            height: (width * 0.7).min(HEIGHT),
            title: size(28.0, 14.0),
            label: size(24.0, 13.0),
            tick: size(22.0, 12.0),
            note: size(19.0, 11.0),
            tick_mark: 4.0,
            ticks: (ticks(75.0), ticks(65.0)),
            line: 3.5 * share,
            mark: 5.0 * share,
        }
    }
}

/// Dark letters on white, a grid that stays behind the curves.
pub(super) fn theme() -> Theme {
    Theme {
        background: "#ffffff".into(),
        axis_color: "#444444".into(),
        grid_color: "#dedede".into(),
        tick_color: "#444444".into(),
        text_color: "#1a1a1a".into(),
        font_family: Some("sans-serif".into()),
        ..Theme::light()
    }
}

/// The colour of lines of equal height.
pub(super) const CONTOUR: &str = "#8a8a8a";

/// The width of a line, where a curve has this width.
pub(super) fn width(line: Line, curve: f64) -> f64 {
    match line {
        Line::Thin => 0.4 * curve,
        Line::Contour => 0.3 * curve,
        Line::Solid | Line::Dashed | Line::Dotted | Line::Points => curve,
    }
}

/// The dashes and gaps of a line of this width.
pub(super) fn dashes(line: Line, width: f64) -> Option<[f64; 2]> {
    match line {
        Line::Dashed => Some([4.0 * width, 2.5 * width]),
        Line::Dotted => Some([width, 2.0 * width]),
        Line::Solid | Line::Thin | Line::Contour | Line::Points => None,
    }
}
