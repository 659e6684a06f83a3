//! A chart as plain data: what it shows, not how it is drawn.

/// Curves over a pair of axes.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// Above the chart; empty for nothing.
    pub title: String,
    /// The axis along the bottom.
    pub x: Axis,
    /// The axis along the left side.
    pub y: Axis,
    /// The curves, drawn in this order.
    pub series: Vec<Series>,
    /// A remark in small letters below the title.
    pub note: Option<String>,
}

/// One of the two axes.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// What its values are, with their unit.
    pub label: String,
    /// How its values are spread.
    pub scale: Scale,
    /// Which values are shown; `None` shows all of the data.
    pub range: Option<(f64, f64)>,
}

/// How values are spread along an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scale {
    /// Evenly.
    #[default]
    Linear,
    /// By their logarithm; zero and negative values are left out.
    Logarithmic,
    /// Evenly, and on paper a unit is as long as on the other axis, if that is of this kind too.
    Equal,
}

/// One curve, or one set of points.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// What the legend says; empty keeps the series out of it.
    pub label: String,
    /// Pairs of x and y, in the order in which they are joined.
    pub points: Vec<(f64, f64)>,
    /// The lower and the upper edge of the band around the curve, one pair for each point.
    pub band: Option<Vec<(f64, f64)>>,
    /// How it is drawn.
    pub line: Line,
    /// An index into the palette: a bound takes the colour of the curve that it belongs to.
    pub colour: usize,
}

/// How a series is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Line {
    /// An unbroken line, with a mark here and there that tells it from the others without its colour, or with one at
    /// each point where there are few.
    #[default]
    Solid,
    /// A thin unbroken line: one of many, beside their mean.
    Thin,
    /// A thin grey line behind all others, whatever its colour: a line of equal height.
    Contour,
    /// Dashes.
    Dashed,
    /// Dots.
    Dotted,
    /// A mark at each point and no line.
    Points,
}

impl Axis {
    /// A linear axis that shows all of the data.
    pub fn linear(label: impl Into<String>) -> Self {
        Self { label: label.into(), scale: Scale::Linear, range: None }
    }

    /// One of two axes whose units are equally long, which shows all of the data.
    pub fn equal(label: impl Into<String>) -> Self {
        Self { label: label.into(), scale: Scale::Equal, range: None }
    }

    /// A logarithmic axis that shows all of the data.
    pub fn logarithmic(label: impl Into<String>) -> Self {
        Self { label: label.into(), scale: Scale::Logarithmic, range: None }
    }
}

impl Series {
    /// A solid curve without a band.
    pub fn curve(label: impl Into<String>, colour: usize, points: Vec<(f64, f64)>) -> Self {
        Self { label: label.into(), points, band: None, line: Line::Solid, colour }
    }
}
