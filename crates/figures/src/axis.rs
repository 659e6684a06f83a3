//! Where values are on an axis: its range, its ticks, and what the ticks say.
//!
//! All geometry happens in *positions*: the value itself on a linear axis, its decimal logarithm on a logarithmic one.
//! kuva's own logarithmic axis ends at 1e-10, which convergence passes. So a long one is drawn as a linear axis of
//! logarithms, and only a short one, which needs ticks at 2 and 5 too, as kuva's, in units of its lowest power of ten.

use std::sync::Arc;

use kuva::render::layout::TickFormat;
use kuva::render::render_utils::{generate_ticks_log, generate_ticks_with_step};

use super::chart::{Axis, Scale};
use super::numbers::{fixed, in_units_of, power_of_ten, with_prefix};

/// Beyond this, differences of values are no longer finite.
const LARGEST: f64 = 1e300;
/// Below this, parts of a difference are no longer normal numbers.
const SMALLEST_SPAN: f64 = 1e-290;
/// kuva puts ticks at 1, 2 and 5 up to this many decades.
const SHORT_DECADES: f64 = 3.0;
/// How far a band may stretch a logarithmic axis beyond the curves: its lower edge may come arbitrarily near to zero.
const BAND_DECADES: f64 = 1.0;

/// An axis with a range.
#[derive(Debug, Clone)]
pub(super) struct Ruler {
    kind: Kind,
    /// Where the axis begins, in positions.
    pub(super) low: f64,
    /// Where it ends.
    pub(super) high: f64,
    ticks: usize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Linear,
    /// A linear axis of logarithms.
    Decades,
    /// kuva's logarithmic axis, in units of this power of ten.
    WithinDecades(f64),
}

/// How the range is chosen around the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// The curves go from edge to edge.
    Tight,
    /// Some air, to round numbers.
    Loose,
}

/// The position of a value, if it has one.
pub(super) fn position(scale: Scale, value: f64) -> Option<f64> {
    let position = match scale {
        Scale::Linear | Scale::Equal => value,
        Scale::Logarithmic if value > 0.0 => value.log10(),
        Scale::Logarithmic => return None,
    };
    (position.abs() <= LARGEST).then_some(position)
}

impl Ruler {
    /// The axis for curves and bands at these positions, with about that many ticks.
    pub(super) fn new(
        axis: &Axis,
        curves: impl Iterator<Item = f64>,
        bands: impl Iterator<Item = f64>,
        fit: Fit,
        ticks: usize,
    ) -> Self {
        let fitting = || range(axis.scale, extent(curves), extent(bands), fit, ticks);
        let (low, high) = asked_range(axis).unwrap_or_else(fitting);
        let kind = match axis.scale {
            Scale::Linear | Scale::Equal => Kind::Linear,
            Scale::Logarithmic if high.ceil() - low.floor() <= SHORT_DECADES => Kind::WithinDecades(low.floor()),
            Scale::Logarithmic => Kind::Decades,
        };
        Self { kind, low, high, ticks }
    }

    /// The same axis around the same middle, so much longer.
    pub(super) fn stretched(&self, factor: f64) -> Self {
        let (middle, half) = (0.5 * (self.low + self.high), 0.5 * factor * (self.high - self.low));
        Self { low: middle - half, high: middle + half, ..self.clone() }
    }

    /// What kuva draws at a position.
    pub(super) fn coordinate(&self, position: f64) -> f64 {
        match self.kind {
            Kind::Linear | Kind::Decades => position,
            Kind::WithinDecades(unit) => 10f64.powf(position - unit),
        }
    }

    /// The range in kuva's coordinates.
    pub(super) fn bounds(&self) -> (f64, f64) {
        (self.coordinate(self.low), self.coordinate(self.high))
    }

    /// Whether kuva has to take logarithms.
    pub(super) fn is_logarithmic(&self) -> bool {
        matches!(self.kind, Kind::WithinDecades(_))
    }

    /// The distance of the ticks, where they are evenly spaced.
    pub(super) fn step(&self) -> Option<f64> {
        match self.kind {
            Kind::Linear => Some(linear_step(self.high - self.low, self.ticks)),
            Kind::Decades => {
                let steps = [1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0];
                let fits = |step: &f64| (self.high - self.low) / step <= self.ticks as f64;
                Some(steps.into_iter().find(fits).unwrap_or(200.0))
            }
            Kind::WithinDecades(_) => None,
        }
    }

    /// What the ticks say.
    pub(super) fn format(&self) -> TickFormat {
        let ruler = self.clone();
        TickFormat::Custom(Arc::new(move |coordinate| ruler.label(coordinate)))
    }

    /// The labels of all ticks.
    pub(super) fn labels(&self) -> Vec<String> {
        let (low, high) = self.bounds();
        let ticks = match self.step() {
            Some(step) => generate_ticks_with_step(low, high, step),
            None => generate_ticks_log(low, high),
        };
        ticks.into_iter().map(|tick| self.label(tick)).collect()
    }

    fn label(&self, coordinate: f64) -> String {
        match self.kind {
            Kind::Linear => self.linear_label(coordinate),
            Kind::Decades => power_of_ten(coordinate.round() as i32),
            Kind::WithinDecades(unit) => self.label_within_decades(coordinate, unit),
        }
    }

    fn linear_label(&self, value: f64) -> String {
        let step = linear_step(self.high - self.low, self.ticks);
        let largest = self.low.abs().max(self.high.abs());
        match largest {
            1e-3..1e4 => fixed(value, step),
            1e4..1e12 => with_prefix(largest, value, step),
            _ => in_units_of(largest, value, step),
        }
    }

    fn label_within_decades(&self, coordinate: f64, unit: f64) -> String {
        let logarithm = coordinate.log10();
        let is_power = (logarithm - logarithm.round()).abs() < 1e-6;
        let is_crowded = self.high - self.low > 1.2 && self.labels_at_full() > self.ticks;
        if is_crowded && !is_power {
            return String::new();
        }
        let exponent = (logarithm + 1e-6).floor();
        let digit = (coordinate / 10f64.powf(exponent)).round();
        let exponent = exponent + unit;
        if self.low >= -3.0 && self.high <= 4.0 {
            fixed(digit * 10f64.powf(exponent), 10f64.powf(exponent))
        } else if is_power {
            power_of_ten(exponent as i32)
        } else {
            format!("{digit}·{}", power_of_ten(exponent as i32))
        }
    }

    fn labels_at_full(&self) -> usize {
        let (low, high) = self.bounds();
        generate_ticks_log(low, high).len()
    }
}

/// The range that the chart asks for, if it makes sense.
fn asked_range(axis: &Axis) -> Option<(f64, f64)> {
    let (from, to) = axis.range?;
    let (from, to) = (position(axis.scale, from)?, position(axis.scale, to)?);
    let (low, high) = (from.min(to), from.max(to));
    (!is_constant(low, high)).then_some((low, high))
}

/// Whether what is between the two is no more than rounding.
fn is_constant(low: f64, high: f64) -> bool {
    high - low <= (1e-12 * low.abs().max(high.abs())).max(SMALLEST_SPAN)
}

fn extent(positions: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    positions.fold(None, |extent, position| match extent {
        None => Some((position, position)),
        Some((low, high)) => Some((low.min(position), high.max(position))),
    })
}

fn range(scale: Scale, curves: Option<(f64, f64)>, bands: Option<(f64, f64)>, fit: Fit, ticks: usize) -> (f64, f64) {
    let reach = if scale == Scale::Logarithmic { BAND_DECADES } else { f64::INFINITY };
    let (low, high) = match (curves, bands) {
        (None, None) => return (0.0, 1.0),
        (Some(extent), None) | (None, Some(extent)) => extent,
        (Some((low, high)), Some((lower, upper))) => {
            (low.min(lower.max(low - reach)), high.max(upper.min(high + reach)))
        }
    };
    let is_constant = is_constant(low, high);
    match scale {
        Scale::Linear | Scale::Equal if is_constant => {
            let air = if low.abs() <= 10.0 * SMALLEST_SPAN { 1.0 } else { 0.2 * low.abs() };
            (low - air, high + air)
        }
        Scale::Equal => {
            let air = 0.04 * (high - low);
            (low - air, high + air)
        }
        Scale::Linear if fit == Fit::Tight => to_near_ticks(low, high, ticks),
        Scale::Linear => {
            let air = 0.04 * (high - low);
            // What is never negative should not look as if it could be.
            let floor = if low >= 0.0 { 0.0 } else { f64::NEG_INFINITY };
            ((low - air).max(floor), high + air)
        }
        Scale::Logarithmic if is_constant && low.fract() == 0.0 => (low - 1.0, high + 1.0),
        Scale::Logarithmic if is_constant => (low.floor(), high.ceil()),
        Scale::Logarithmic if fit == Fit::Tight => (low, high),
        Scale::Logarithmic if high.ceil() - low.floor() > SHORT_DECADES => (-next_decade(-low), next_decade(high)),
        Scale::Logarithmic => within_decades(low, high),
    }
}

/// A little air where that leaves two ticks in sight, otherwise from tick to tick.
fn within_decades(low: f64, high: f64) -> (f64, f64) {
    let air = 0.04 * (high - low);
    let (rounded_low, rounded_high) = (-round_up(-low), round_up(high));
    let inside = |position: &f64| *position >= low - air && *position <= high + air;
    let ticks = generate_ticks_log(10f64.powf(rounded_low - low.floor()), 10f64.powf(rounded_high - low.floor()));
    let ticks_inside = ticks.iter().map(|tick| tick.log10() + low.floor()).filter(inside).count();
    if ticks_inside < 2 { (rounded_low, rounded_high) } else { (low - air, high + air) }
}

/// The next position of 1, 2 or 5 times a power of ten (going down, by the symmetry of the three).
fn round_up(position: f64) -> f64 {
    let decade = position.floor();
    let rounded = [0.0, 2f64.log10(), 5f64.log10(), 1.0].map(|digit| decade + digit);
    rounded.into_iter().find(|rounded| *rounded >= position - 1e-9).unwrap_or(position)
}

/// The next whole decade, but for what is only just past one.
fn next_decade(position: f64) -> f64 {
    if position - position.floor() < 0.05 { position } else { position.ceil() }
}

/// The distance of at most this many ticks: 1, 2 or 5 times a power of ten.
fn linear_step(span: f64, ticks: usize) -> f64 {
    let decade = 10f64.powf((span / ticks as f64).log10().floor());
    let steps = [1.0, 2.0, 5.0].map(|digit| digit * decade);
    steps.into_iter().find(|step| span / step <= ticks as f64 * (1.0 + 1e-9)).unwrap_or(10.0 * decade)
}

/// A range extended to the next tick if that is close: a curve that ends at step 999 deserves the tick at 1000.
fn to_near_ticks(low: f64, high: f64, ticks: usize) -> (f64, f64) {
    let step = linear_step(high - low, ticks);
    let close = 0.025 * (high - low);
    let (below, above) = ((low / step).floor() * step, (high / step).ceil() * step);
    (if low - below <= close { below } else { low }, if above - high <= close { above } else { high })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINEAR: Scale = Scale::Linear;
    const LOGARITHMIC: Scale = Scale::Logarithmic;

    fn labels(scale: Scale, fit: Fit, values: &[f64]) -> Vec<String> {
        let axis = Axis { label: String::new(), scale, range: None };
        let positions = values.iter().filter_map(|&value| position(scale, value));
        Ruler::new(&axis, positions, std::iter::empty(), fit, 8).labels()
    }

    #[test]
    fn ticks_stand_at_round_numbers() {
        assert_eq!(labels(LINEAR, Fit::Tight, &[0.0, 999.0]), ["0", "200", "400", "600", "800", "1000"]);
        assert_eq!(labels(LINEAR, Fit::Loose, &[0.1, 0.33]), ["0.10", "0.15", "0.20", "0.25", "0.30"]);
        assert_eq!(labels(LINEAR, Fit::Tight, &[0.0, 2e6]), ["0", "0.5 M", "1.0 M", "1.5 M", "2.0 M"]);
        assert_eq!(labels(LINEAR, Fit::Tight, &[0.0, 20_000.0]), ["0", "5 k", "10 k", "15 k", "20 k"]);
        assert_eq!(labels(LINEAR, Fit::Tight, &[0.0, 9e-4]).last().map(String::as_str), Some("8·10⁻⁴"));
        assert_eq!(labels(LINEAR, Fit::Tight, &[0.0, 2e12]).last().map(String::as_str), Some("2.0·10¹²"));
    }

    #[test]
    fn a_logarithmic_axis_has_powers_of_ten() {
        assert_eq!(
            labels(LOGARITHMIC, Fit::Loose, &[3e-5, 2.0]),
            ["10⁻⁵", "10⁻⁴", "10⁻³", "10⁻²", "10⁻¹", "10⁰", "10¹"]
        );
        let wide = labels(LOGARITHMIC, Fit::Loose, &[1e-16, 1e6]);
        assert_eq!(wide, ["10⁻¹⁵", "10⁻¹²", "10⁻⁹", "10⁻⁶", "10⁻³", "10⁰", "10³", "10⁶"]);
    }

    #[test]
    fn a_short_logarithmic_axis_has_more_ticks() {
        assert_eq!(labels(LOGARITHMIC, Fit::Loose, &[1.4, 4.2]), ["1", "2", "5"]);
        assert_eq!(labels(LOGARITHMIC, Fit::Loose, &[2e-7, 3e-6]), ["2·10⁻⁷", "5·10⁻⁷", "10⁻⁶", "2·10⁻⁶"]);
    }

    #[test]
    fn every_axis_has_a_length() {
        for scale in [LINEAR, LOGARITHMIC] {
            let strange =
                [&[][..], &[0.0], &[1.0, 1.0], &[-3.0], &[f64::NAN, f64::INFINITY], &[5e-324, f64::MAX], &[5e-324]];
            for values in strange {
                for range in [None, Some((0.0, 0.0)), Some((f64::NAN, 1.0)), Some((2.0, -1.0)), Some((-1.0, 0.0))] {
                    let axis = Axis { label: String::new(), scale, range };
                    let positions = values.iter().filter_map(|&value| position(scale, value));
                    let ruler = Ruler::new(&axis, positions, std::iter::empty(), Fit::Tight, 5);
                    assert!(ruler.low < ruler.high && (ruler.high - ruler.low).is_finite(), "{axis:?} {values:?}");
                    assert!(ruler.labels().len() < 20, "{axis:?} {values:?}: {:?}", ruler.labels());
                }
            }
        }
    }

    #[test]
    fn a_band_down_to_zero_does_not_own_the_axis() {
        let axis = Axis::logarithmic("");
        let ruler = Ruler::new(&axis, [-4.0, 0.0].into_iter(), [-200.0, 0.5].into_iter(), Fit::Loose, 8);
        assert_eq!((ruler.low, ruler.high), (-5.0, 1.0));
    }
}
