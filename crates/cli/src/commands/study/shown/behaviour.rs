//! What a model does.

use kiln_figures::{Axis, Cell, Chart, Heat, Line, Series, heat_svg};
use kiln_study::behaviour::{BehaviourFindings, Written};

use super::{Numbers, Picture, Shown, bands, edges, file_name, short, table, with_band};

/// Tokens in a row of a surprisal picture.
const COLUMNS: usize = 48;

pub(super) fn show(found: &[BehaviourFindings]) -> Shown {
    let mut shown = Shown::default();
    for model in found {
        let svg = surprisal(model);
        let caption = format!(
            "How surprised {} is by each token of a text it was not trained on: the darker, the less likely. Where the \
             pointer rests on a token, it says by how many nats.",
            model.name
        );
        shown.pictures.push(Picture { ending: format!("surprisal-{}", file_name(&model.name)), svg, caption });
        let row = |written: &Written| {
            vec![
                short(written.temperature),
                with_band(written.diversity, 3),
                with_band(written.self_loss, 3),
                written.beginning.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(60).collect(),
            ]
        };
        shown.tables.push(table(
            &format!("What {} writes: ± is over as many texts as there are repeats.", model.name),
            &["temperature", "different fours", "own loss, nats", "how it begins"],
            model.written.iter().map(row).collect(),
        ));
        shown.sentences.push(format!(
            "{}: the share of right predictions is off the confidence by {} in the mean.",
            model.name,
            short(model.calibration_error)
        ));
    }
    shown.pictures.extend(writing(found));
    shown.pictures.push(reliability(found));
    shown.numbers = vec![numbers(found), bins(found)];
    shown
}

fn surprisal(model: &BehaviourFindings) -> String {
    let most = model.surprisal.iter().filter_map(|(_, nats)| *nats).fold(1e-9, f64::max);
    let cell = |(text, nats): &(String, Option<f64>)| {
        let words = nats.map_or_else(|| format!("{text:?}"), |nats| format!("{text:?}: {nats:.2} nats"));
        Some(Cell { share: nats.unwrap_or(0.0) / most, letter: text.clone(), words })
    };
    let cells = model.surprisal.chunks(COLUMNS).map(|row| row.iter().map(cell).collect()).collect();
    let title = format!("What surprises {} (darkest: {most:.1} nats)", model.name);
    heat_svg(&[Heat { cells, ..Heat::default() }], 1, &title)
}

fn writing(found: &[BehaviourFindings]) -> [Picture; 2] {
    let curves = |of: fn(&Written) -> kiln_convergence::Band| {
        let curve = |model: &BehaviourFindings| {
            (
                model.name.clone(),
                model.written.iter().map(|written| (written.temperature, edges(of(written)))).collect(),
            )
        };
        found.iter().map(curve).collect::<Vec<_>>()
    };
    let x = || Axis::linear("temperature");
    let diversity = bands(
        "Temperature against diversity",
        x(),
        Axis::linear("share of different sequences of four tokens"),
        curves(|written| written.diversity),
    );
    let loss = bands(
        "Temperature against a model's loss on its own text",
        x(),
        Axis::linear("nats per token, at temperature 1"),
        curves(|written| written.self_loss),
    );
    [
        Picture::of("diversity", &diversity, "How much of what is written is not written twice."),
        Picture::of("own-loss", &loss, "How likely a model holds what it wrote itself."),
    ]
}

fn reliability(found: &[BehaviourFindings]) -> Picture {
    let curve = |model: &BehaviourFindings| {
        let point =
            |bin: &kiln_study::behaviour::Bin| (bin.confidence, [bin.right.share(), bin.right.low, bin.right.high]);
        (model.name.clone(), model.reliability.iter().map(point).collect())
    };
    let unit = |label: &str| Axis { range: Some((0.0, 1.0)), ..Axis::linear(label) };
    let (x, y) = (unit("confidence: probability of the likeliest token"), unit("how often it is right"));
    let mut chart: Chart = bands("Reliability", x, y, found.iter().map(curve).collect());
    let diagonal = vec![(0.0, 0.0), (1.0, 1.0)];
    chart.series.push(Series { line: Line::Dotted, ..Series::curve("as often right as it is sure", 4, diagonal) });
    let caption = "How often predictions are right, over how sure the model is. Bands: 95 %, as if predictions were \
                   independent of one another.";
    Picture::of("reliability", &chart, caption)
}

fn numbers(found: &[BehaviourFindings]) -> Numbers {
    let mut rows = Vec::new();
    for model in found {
        for written in &model.written {
            let (diversity, loss) = (written.diversity, written.self_loss);
            let numbers = [written.temperature, diversity.mean, diversity.half_width, loss.mean, loss.half_width];
            rows.push([vec![model.name.clone()], numbers.map(|number| number.to_string()).to_vec()].concat());
        }
    }
    let header = vec!["model", "temperature", "diversity", "diversity_half_width", "own_loss", "own_loss_half_width"];
    Numbers { ending: "writing", header, rows }
}

fn bins(found: &[BehaviourFindings]) -> Numbers {
    let mut rows = Vec::new();
    for model in found {
        for bin in &model.reliability {
            let numbers = [bin.confidence, bin.right.share(), bin.right.low, bin.right.high, bin.right.of as f64];
            rows.push([vec![model.name.clone()], numbers.map(|number| number.to_string()).to_vec()].concat());
        }
    }
    let header = vec!["model", "confidence", "right", "low", "high", "predictions"];
    Numbers { ending: "reliability", header, rows }
}
