//! Loss over size.

use kiln_convergence::Band;
use kiln_figures::{Axis, Line, Series};
use kiln_study::scaling::{Law, ScalingFindings};

use super::{Numbers, Picture, Shown, bands, edges, short, table};

/// Points of a fitted curve.
const POINTS: i32 = 60;

pub(super) fn show(found: &[ScalingFindings]) -> Shown {
    let row = |model: &ScalingFindings| {
        let law = |of: fn(&Law) -> Band| model.law.map_or_else(|| "–".to_owned(), |law| interval(of(&law)));
        vec![
            model.name.clone(),
            law(|law| law.floor),
            model.floor.map_or_else(|| "unknown".to_owned(), |floor| format!("{floor:.4}")),
            law(|law| law.exponent),
            law(|law| law.scale),
        ]
    };
    Shown {
        sentences: found.iter().map(sentence).collect(),
        pictures: vec![picture(found)],
        tables: vec![table(
            "The least-squares fit of loss = E + A N^-a to all trainings, ± the 95 % intervals of its linearisation, \
             nats per character. N leaves embeddings and head out.",
            &["model", "E", "E, exactly", "a", "A"],
            found.iter().map(row).collect(),
        )],
        numbers: vec![numbers(found)],
    }
}

fn interval(band: Band) -> String {
    format!("{} ± {}", short(band.mean), short(band.half_width))
}

fn picture(found: &[ScalingFindings]) -> Picture {
    let curve = |model: &ScalingFindings| {
        let points = model.points.iter().map(|(size, band)| (*size as f64, edges(*band))).collect();
        (model.name.clone(), points)
    };
    let x = Axis::logarithmic("parameters without embeddings and head");
    let y = Axis::logarithmic("validation loss, nats per character");
    let mut chart = bands("Loss over size", x, y, found.iter().map(curve).collect());
    chart.series.iter_mut().for_each(|series| series.line = Line::Points);
    for (colour, model) in found.iter().enumerate() {
        let (Some(law), Some(first), Some(last)) = (model.law, model.points.first(), model.points.last()) else {
            continue;
        };
        let (low, high) = ((first.0 as f64).ln(), (last.0 as f64).ln());
        let size = |point: i32| (low + (high - low) * f64::from(point) / f64::from(POINTS)).exp();
        let points = (0..=POINTS).map(|point| (size(point), law.at(size(point)))).collect();
        let label = format!("{}: the fit", model.name);
        chart.series.push(Series { line: Line::Dashed, ..Series::curve(label, colour, points) });
    }
    if let Some(floor) = found.iter().find_map(|model| model.floor) {
        let ends = found.iter().flat_map(|model| &model.points).map(|point| point.0 as f64);
        let (low, high) = (ends.clone().fold(f64::INFINITY, f64::min), ends.fold(0.0, f64::max));
        let points = vec![(low, floor), (high, floor)];
        chart.series.push(Series { line: Line::Dotted, ..Series::curve("the entropy of the text", 4, points) });
    }
    Picture::of("law", &chart, "The loss over the size, the law that is fitted to it, and what no model gets below.")
}

fn sentence(model: &ScalingFindings) -> String {
    let name = &model.name;
    let Some(law) = model.law else {
        return format!("{name}: no power law with a floor fits better than one without: the sizes say nothing of E.");
    };
    let fit = format!(
        "{name}: loss = E + A N^-a is fitted best by E = {}, a = {}",
        interval(law.floor),
        interval(law.exponent)
    );
    let Some(exact) = model.floor else { return format!("{fit}.") };
    let inside = (law.floor.mean - exact).abs() <= law.floor.half_width;
    let verdict = match inside {
        true if law.floor.half_width > exact => "the interval has it in it, but is too wide to say anything",
        true => "the interval has it in it",
        false if law.floor.mean > exact => {
            "the interval lies above the exact entropy: with this many updates no size gets down to it, and the fit \
             can't tell that from a floor"
        }
        false => {
            "the interval lies below the exact entropy, which no model gets below: the law doesn't hold over \
             these sizes"
        }
    };
    format!("{fit}; the exact entropy of the text is {exact:.4}: {verdict}.")
}

fn numbers(found: &[ScalingFindings]) -> Numbers {
    let row = |model: &ScalingFindings, (size, band): &(u64, Band)| {
        vec![model.name.clone(), size.to_string(), band.mean.to_string(), band.half_width.to_string()]
    };
    let rows = found.iter().flat_map(|model| model.points.iter().map(move |point| row(model, point))).collect();
    Numbers { ending: "losses", header: vec!["model", "parameters", "loss", "half_width"], rows }
}
