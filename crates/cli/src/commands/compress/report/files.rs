//! What a report leaves behind: pictures, numbers, a page.

use std::path::Path;

use anyhow::Context;
use kiln_figures::{Axis, Block, Chart, Line, Page, Section, Series, Table, svg};
use kiln_training::comparison::Mean;

use super::config::ReportedModel;
use super::measuring::{Measured, Row};
use super::words::{COLUMNS, LEGEND, cells, front, problems};

/// The name of the page.
pub(super) const PAGE: &str = "report.html";
/// How much above the original a loss is still drawn, nats.
const DRAWN: f64 = 0.5;
/// How much room the axes leave beside the first and the last point.
const ROOM: f64 = 1.15;

/// A picture of a model.
struct Picture {
    file: String,
    svg: String,
    caption: String,
}

/// Writes all of them into `folder`.
///
/// # Errors
/// The system refuses.
pub(super) fn write(folder: &Path, title: &str, models: &[(ReportedModel, Vec<Row>)]) -> anyhow::Result<()> {
    let save = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        std::fs::write(&path, bytes).with_context(|| format!("cannot write `{}`", path.display()))
    };
    save("report.csv", &numbers(models)?)?;
    let mut sections = vec![Section {
        heading: "How to read it".to_owned(),
        blocks: LEGEND.map(|paragraph| Block::Paragraph(paragraph.to_owned())).to_vec(),
    }];
    for (model, rows) in models {
        let pictures = pictures(model, rows);
        for Picture { file, svg, .. } in &pictures {
            save(file, svg.as_bytes())?;
        }
        sections.push(section(model, rows, pictures));
    }
    let introduction = vec![
        "Models made smaller: how well each form of them predicts a text that none was made with, beside how large it \
         is and how fast it writes."
            .to_owned(),
    ];
    save(PAGE, Page { title: title.to_owned(), introduction, sections }.html().as_bytes())
}

fn section(model: &ReportedModel, rows: &[Row], pictures: Vec<Picture>) -> Section {
    let header = COLUMNS.map(str::to_owned).to_vec();
    let cells = rows.iter().filter(|row| row.measured.is_some()).map(cells).collect();
    let mut blocks = vec![Block::Table(Table { caption: String::new(), header, rows: cells })];
    blocks.extend(problems(rows).into_iter().map(|problem| Block::Paragraph(format!("Not made: {problem}."))));
    blocks.extend(pictures.into_iter().map(|Picture { svg, caption, .. }| Block::Picture { svg, caption }));
    Section { heading: model.name.clone(), blocks }
}

/// Every row with all its digits.
fn numbers(models: &[(ReportedModel, Vec<Row>)]) -> anyhow::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([
        "model",
        "variant",
        "steps",
        "loss",
        "loss_error",
        "difference",
        "difference_error",
        "perplexity",
        "divergence",
        "divergence_error",
        "agreement",
        "agreement_error",
        "tokens",
        "bytes_a_token",
        "file_bytes",
        "memory_bytes",
        "tokens_per_second",
        "front",
        "problem",
    ])?;
    for row in models.iter().flat_map(|(_, rows)| rows) {
        let mut record = vec![row.model.clone(), row.variant.clone(), row.steps.join("; ")];
        match &row.measured {
            Some(measured) => record.extend(fields(measured)),
            None => record.extend(vec![String::new(); 15]),
        }
        record.push(row.problem.clone().unwrap_or_default());
        writer.write_record(record)?;
    }
    writer.into_inner().context("the numbers could not be put together")
}

fn fields(measured: &Measured) -> Vec<String> {
    let comparison = &measured.comparison;
    let both =
        |mean: Mean| [mean.mean.to_string(), mean.standard_error.map_or_else(String::new, |error| error.to_string())];
    let mut fields = both(comparison.loss).to_vec();
    fields.extend(both(comparison.difference));
    fields.push(comparison.evaluation.perplexity.to_string());
    fields.extend(both(comparison.divergence));
    fields.extend(both(comparison.agreement));
    fields.push(comparison.evaluation.tokens.to_string());
    fields.extend([measured.bytes_a_token, measured.file_bytes, measured.memory_bytes].map(|bytes| bytes.to_string()));
    fields.extend([measured.tokens_per_second.to_string(), front(measured).to_owned()]);
    fields
}

fn pictures(model: &ReportedModel, rows: &[Row]) -> Vec<Picture> {
    let of = |ending: &str, label: &str, x: fn(&Measured) -> f64, is_on_front: fn(&Measured) -> bool| {
        let chart = chart(&model.name, rows, label, x, is_on_front);
        let outside = match &chart.note {
            Some(_) => " Those that lose more are named above the picture.",
            None => "",
        };
        let caption = format!("The loss of every form of {} against {label}. Dashed: the front.{outside}", model.name);
        Picture { file: format!("{}-{ending}.svg", model.file_name()), svg: svg(&chart), caption }
    };
    vec![
        of("size", "bytes of the file", |form| form.file_bytes as f64, |form| form.is_on_front_of_size),
        of("speed", "tokens a second", |form| form.tokens_per_second, |form| form.is_on_front_of_speed),
    ]
}

fn chart(title: &str, rows: &[Row], label: &str, x: fn(&Measured) -> f64, is_on_front: fn(&Measured) -> bool) -> Chart {
    let measured: Vec<(usize, &Row, &Measured)> =
        rows.iter().enumerate().filter_map(|(index, row)| Some((index, row, row.measured.as_ref()?))).collect();
    let most = measured.first().map_or(0.0, |(_, _, original)| original.comparison.loss.mean) + DRAWN;
    let is_drawn = |form: &Measured| form.comparison.loss.mean <= most;
    let (drawn, outside): (Vec<_>, Vec<_>) = measured.into_iter().partition(|(_, _, form)| is_drawn(form));
    let point = |form: &Measured| (x(form), form.comparison.loss.mean);
    let mut front: Vec<(f64, f64)> =
        drawn.iter().filter(|(_, _, form)| is_on_front(form)).map(|(_, _, form)| point(form)).collect();
    front.sort_by(|left, right| left.0.total_cmp(&right.0));
    let mut series = vec![Series { line: Line::Dashed, ..Series::curve("the front", 0, front) }];
    series.extend(drawn.iter().map(|(index, row, form)| Series::curve(row.variant.clone(), *index, vec![point(form)])));
    let places = || drawn.iter().map(|(_, _, form)| x(form));
    let range = (places().fold(f64::INFINITY, f64::min) / ROOM, places().fold(0.0, f64::max) * ROOM);
    let names: Vec<String> =
        outside.iter().map(|(_, row, form)| format!("{} ({:.2})", row.variant, form.comparison.loss.mean)).collect();
    Chart {
        title: title.to_owned(),
        x: Axis { range: Some(range), ..Axis::logarithmic(label) },
        y: Axis::linear("loss, nats per token"),
        series,
        note: (!names.is_empty()).then(|| format!("higher: {}", names.join(", "))),
    }
}
