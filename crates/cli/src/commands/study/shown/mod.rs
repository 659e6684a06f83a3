//! Findings in pictures, tables, sentences and numbers.

mod attention;
mod behaviour;
mod context;
mod explosion;
mod families;
mod gradients;
mod recall;
mod scaling;

use kiln_convergence::Band;
use kiln_figures::{Axis, Chart, Series, Table, svg};
use kiln_study::{Findings, Study};

pub(super) use attention::{heads, maps_chart};

/// What is shown of a study.
#[derive(Default)]
pub(super) struct Shown {
    /// What was found, in words.
    pub(super) sentences: Vec<String>,
    pub(super) pictures: Vec<Picture>,
    pub(super) tables: Vec<Table>,
    pub(super) numbers: Vec<Numbers>,
}

/// A figure, its ending after the study's name, and what it shows.
pub(super) struct Picture {
    pub(super) ending: String,
    pub(super) svg: String,
    pub(super) caption: String,
}

/// A CSV file.
pub(super) struct Numbers {
    pub(super) ending: &'static str,
    pub(super) header: Vec<&'static str>,
    pub(super) rows: Vec<Vec<String>>,
}

pub(super) fn show(study: &Study, findings: &Findings) -> Shown {
    match findings {
        Findings::Gradients(found) => gradients::show(study, found),
        Findings::Recall(found) => recall::show(found),
        Findings::Context(found) => context::show(found),
        Findings::Explosion(found) => explosion::show(study, found),
        Findings::Attention(found) => attention::show(found),
        Findings::Families(found) => families::show(study, found),
        Findings::Scaling(found) => scaling::show(found),
        Findings::Behaviour(found) => behaviour::show(found),
    }
}

impl Picture {
    fn of(ending: impl Into<String>, chart: &Chart, caption: impl Into<String>) -> Self {
        Self { ending: ending.into(), svg: svg(chart), caption: caption.into() }
    }
}

/// Points with a mean and both edges of its interval.
type Points = Vec<(f64, [f64; 3])>;

/// A chart of curves with bands, by their labels.
fn bands(title: &str, x: Axis, y: Axis, curves: Vec<(String, Points)>) -> Chart {
    let series = curves.into_iter().enumerate().map(|(colour, (label, points))| {
        let means = points.iter().map(|(x, [mean, ..])| (*x, *mean)).collect();
        let edges = points.iter().map(|(_, [_, low, high])| (*low, *high)).collect();
        Series { band: Some(edges), ..Series::curve(label, colour, means) }
    });
    Chart { title: title.to_owned(), x, y, series: series.collect(), note: None }
}

fn edges(band: Band) -> [f64; 3] {
    [band.mean, band.mean - band.half_width, band.mean + band.half_width]
}

/// A mean with the half-width of its interval, where there is one.
fn with_band(band: Band, decimals: usize) -> String {
    if band.half_width > 0.0 && band.half_width.is_finite() {
        format!("{:.decimals$} ± {:.decimals$}", band.mean, band.half_width)
    } else {
        format!("{:.decimals$}", band.mean)
    }
}

/// Three digits that count.
fn short(value: f64) -> String {
    match value.abs() {
        _ if value.is_nan() => "–".to_owned(),
        _ if value.is_infinite() => if value > 0.0 { "∞" } else { "−∞" }.to_owned(),
        size if size == 0.0 || (0.01..1000.0).contains(&size) => {
            let decimals = if size >= 100.0 {
                0
            } else if size >= 10.0 {
                1
            } else if size >= 1.0 {
                2
            } else {
                3
            };
            format!("{value:.decimals$}")
        }
        size if (1000.0..1e6).contains(&size) => format!("{value:.0}"),
        _ => format!("{value:.2e}"),
    }
}

fn table(caption: &str, header: &[&str], rows: Vec<Vec<String>>) -> Table {
    Table { caption: caption.to_owned(), header: header.iter().map(|name| (*name).to_owned()).collect(), rows }
}

/// A name that a file may have.
fn file_name(name: &str) -> String {
    name.chars().map(|letter| if letter.is_alphanumeric() { letter.to_ascii_lowercase() } else { '-' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits() {
        let cases = [(0.0, "0.000"), (0.12345, "0.123"), (9.876, "9.88"), (98.76, "98.8"), (987.6, "988")];
        for (value, words) in cases {
            assert_eq!(short(value), words);
        }
        assert_eq!([short(98765.4), short(1.5e-9), short(f64::INFINITY)], ["98765", "1.50e-9", "∞"]);
        assert_eq!(with_band(Band { mean: 1.25, half_width: 0.125 }, 2), "1.25 ± 0.12");
        assert_eq!(with_band(Band { mean: 1.25, half_width: 0.0 }, 2), "1.25");
        assert_eq!(file_name("GRU, 2 layers"), "gru--2-layers");
    }
}
