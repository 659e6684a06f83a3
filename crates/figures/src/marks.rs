//! Marks on curves: which one it is, where colours are not seen, where its points are, and where it leaves the picture.

use kuva::render::color::Color;
use kuva::render::render::{PathData, Primitive};

use super::chart::{Chart, Line, Series};
use super::palette::{COLOURS, colour};

/// A curve of this many points or fewer has a mark at each, as a single point has; two are the ends of a straight line.
const FEW_POINTS: std::ops::RangeInclusive<usize> = 3..=12;
/// How many marks another curve has.
const MARKS: usize = 4;
/// How much larger a mark is than the point of a set.
const SIZE: f64 = 1.5;

/// A place on paper.
pub(super) type Place = (f64, f64);

/// Whether a curve has a mark in the legend and on its line.
pub(super) fn is_marked(chart: &Chart, series: &Series) -> bool {
    let is_named = |series: &&Series| series.line == Line::Solid && !series.label.is_empty();
    let has_few = series.points.len() == 1 || FEW_POINTS.contains(&series.points.len());
    is_named(&series) && (has_few || chart.series.iter().filter(is_named).count() > 1)
}

/// The marks of the curve that is the `index`th of `count`, along its parts on paper: at different places than those of
/// the others, so that they are seen where curves lie on one another.
pub(super) fn places(parts: &[Vec<Place>], index: usize, count: usize) -> Vec<Place> {
    let points: Vec<Place> = parts.iter().flatten().copied().collect();
    if points.len() == 1 || FEW_POINTS.contains(&points.len()) {
        return points;
    }
    let (Some(&(left, _)), Some(&(right, _))) = (points.first(), points.last()) else { return points };
    let is_ordered = points.windows(2).all(|pair| pair[0].0 <= pair[1].0);
    let share = |mark: usize| (mark as f64 + (index as f64 + 0.5) / count as f64) / MARKS as f64;
    let place = |share: f64| {
        if is_ordered {
            at(&points, left + share * (right - left))
        } else {
            points.get(nearest(share, points.len())).copied()
        }
    };
    (0..MARKS).map(share).filter_map(place).collect()
}

fn nearest(share: f64, count: usize) -> usize {
    (share * count.saturating_sub(1) as f64).round() as usize
}

/// The point of a curve at x, which goes from left to right.
fn at(points: &[Place], x: f64) -> Option<Place> {
    let after = points.iter().position(|point| point.0 >= x)?;
    let ((x0, y0), (x1, y1)) = (points[after.checked_sub(1)?], points[after]);
    let along = if x1 > x0 { (x - x0) / (x1 - x0) } else { 1.0 };
    Some((x, y0 + along * (y1 - y0)))
}

/// The mark of the curve with this place in the palette. After as many curves as there are colours, marks are hollow.
pub(super) fn mark(curve: usize, (x, y): Place, radius: f64) -> Primitive {
    let corners = shape(curve % COLOURS.len());
    let corners = corners.into_iter().map(|(dx, dy)| (x + SIZE * radius * dx, y + SIZE * radius * dy));
    let stroke = Color::from(colour(curve));
    let is_hollow = (curve / COLOURS.len()) % 2 == 1;
    let (fill, edge) = if is_hollow { (Color::from("#ffffff"), stroke) } else { (stroke, Color::from("#ffffff")) };
    polygon(corners.collect(), fill, edge, if is_hollow { 0.4 * radius } else { 0.25 * radius })
}

/// A point by itself.
pub(super) fn dot(colour_of: usize, (cx, cy): Place, radius: f64) -> Primitive {
    Primitive::Circle {
        cx,
        cy,
        r: 1.2 * radius,
        fill: Color::from(colour(colour_of)),
        fill_opacity: None,
        stroke: Some(Color::from("#ffffff")),
        stroke_width: Some(0.25 * radius),
    }
}

/// An arrow with its tip where a curve leaves the picture through its upper or its lower edge.
pub(super) fn exit(curve: usize, (x, y): Place, is_upward: bool, radius: f64) -> Primitive {
    let inward = if is_upward { 3.0 } else { -3.0 } * radius;
    let corners = vec![(x, y), (x - 1.7 * radius, y + inward), (x + 1.7 * radius, y + inward)];
    polygon(corners, Color::from(colour(curve)), Color::from("#ffffff"), 0.25 * radius)
}

/// The corners of a mark around its middle.
fn shape(kind: usize) -> Vec<Place> {
    let regular = |corners: usize, turn: f64, radius: f64| -> Vec<Place> {
        let angle = |corner: usize| std::f64::consts::TAU * (corner as f64 / corners as f64 + turn);
        (0..corners).map(|corner| (radius * angle(corner).sin(), -radius * angle(corner).cos())).collect()
    };
    match kind {
        0 => regular(12, 0.0, 0.95),
        1 => regular(4, 0.125, 1.2),
        2 => regular(3, 0.0, 1.3),
        3 => regular(4, 0.0, 1.3),
        4 => regular(3, 0.5, 1.3),
        5 => star(5, 1.45, 0.6),
        6 => plus(),
        _ => regular(4, 0.0, 1.4).into_iter().map(|(x, y)| (0.55 * x, y)).collect(),
    }
}

fn star(points: usize, outer: f64, inner: f64) -> Vec<Place> {
    let corner = |corner: usize| {
        let (radius, angle) = (
            if corner.is_multiple_of(2) { outer } else { inner },
            corner as f64 / points as f64 * std::f64::consts::PI,
        );
        (radius * angle.sin(), -radius * angle.cos())
    };
    (0..2 * points).map(corner).collect()
}

fn plus() -> Vec<Place> {
    let (a, b) = (0.45, 1.2);
    vec![(-a, -b), (a, -b), (a, -a), (b, -a), (b, a), (a, a), (a, b), (-a, b), (-a, a), (-b, a), (-b, -a), (-a, -a)]
}

fn polygon(corners: Vec<Place>, fill: Color, stroke: Color, stroke_width: f64) -> Primitive {
    let mut d = String::new();
    for (index, (x, y)) in corners.into_iter().enumerate() {
        d.push_str(&format!("{} {x} {y} ", if index == 0 { 'M' } else { 'L' }));
    }
    d.push('Z');
    Primitive::Path(Box::new(PathData {
        d,
        fill: Some(fill),
        stroke,
        stroke_width,
        opacity: None,
        stroke_dasharray: None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_on_one_another_have_their_marks_at_different_places() {
        let line = vec![(0..=100).map(|x| (f64::from(x), 7.0)).collect::<Vec<_>>()];
        let [first, second] = [0, 1].map(|index| places(&line, index, 2));
        assert_eq!(first, [(6.25, 7.0), (31.25, 7.0), (56.25, 7.0), (81.25, 7.0)]);
        assert_eq!(second, [(18.75, 7.0), (43.75, 7.0), (68.75, 7.0), (93.75, 7.0)]);
    }

    #[test]
    fn a_curve_that_ends_early_has_its_marks_all_the_same() {
        let short = vec![(0..=20).map(|x| (f64::from(x), 1.0)).collect::<Vec<_>>()];
        assert_eq!(places(&short, 0, 1), [(2.5, 1.0), (7.5, 1.0), (12.5, 1.0), (17.5, 1.0)]);
    }

    #[test]
    fn few_points_are_all_marked() {
        let line = vec![vec![(0.0, 1.0), (3.0, 2.0), (4.0, 9.0)]];
        assert_eq!(places(&line, 3, 5), line[0]);
        assert_eq!(places(&[vec![(2.0, 1.0)]], 0, 2), [(2.0, 1.0)]);
    }

    #[test]
    fn a_curve_that_turns_back_has_its_marks_along_itself() {
        let circle = (0..=400).map(|index| (f64::from(index) * 0.0157).sin_cos()).collect();
        let marks = places(&[circle], 0, 1);
        assert_eq!(marks.len(), MARKS);
        assert!(marks.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn sixteen_curves_differ_without_their_colours() {
        let drawn = |curve: usize| match mark(curve, (0.0, 0.0), 5.0) {
            Primitive::Path(path) => (path.d, format!("{:?}", path.stroke) == format!("{:?}", Color::from("#ffffff"))),
            _ => panic!("a mark is a path"),
        };
        let mut all: Vec<_> = (0..16).map(drawn).collect();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 16);
    }
}
