//! What a sweep leaves in its folder: two CSV files and pictures. And what it shows: a table and a plot.

use std::io::Write as _;
use std::path::Path;

use annotate_snippets::normalize_untrusted_str;
use comfy_table::{ContentArrangement, Table, presets};
use kiln_figures::{Axis, Chart, Scale, Series, png, svg, terminal};
use kiln_storage::{DiskFiles, write_file_atomically};
use kiln_training::config::{Config, Difference, differences};

use super::entrants::{EntrantResult, measure, ranked};
use super::statistics::Behind;
use crate::recorded::{Along, Curve, Group, Measure, RecordedRun, agree, chart, means_chart};
use crate::terminal::{say, width};
use crate::training_display::grouped;

/// The most curves whose colours differ enough.
const MOST_CURVES: usize = 16;

/// Writes the numbers and the pictures into the sweep's folder.
pub(super) fn write(folder: &Path, results: &[EntrantResult]) -> anyhow::Result<()> {
    let save = |name: &str, bytes: &[u8]| write_file_atomically(&DiskFiles, &folder.join(name), bytes);
    save("runs.csv", &runs_csv(results)?)?;
    save("summary.csv", &summary_csv(results)?)?;
    for (name, chart) in charts(results) {
        save(&format!("{name}.svg"), svg(&chart).as_bytes())?;
        save(&format!("{name}.png"), &png(&chart)?)?;
    }
    Ok(())
}

/// The table on stdout; a plot and where the files are on stderr.
pub(super) fn show(folder: &Path, results: &[EntrantResult]) -> anyhow::Result<()> {
    let groups = groups(results);
    say(&terminal(&means_chart(&groups, Curve::Validation, Along::Token), width()));
    writeln!(std::io::stdout().lock(), "{}", table(results))?;
    if !agree(results.iter().flat_map(|result| &result.runs), RecordedRun::validation_text) {
        say("warning: the runs are evaluated on different texts, so that their losses can't be compared");
    }
    let seeds = results.iter().map(|result| result.runs.len()).max().unwrap_or(0);
    if seeds > 1 {
        say(&format!(
            "± is the 95 % interval of the mean over {seeds} seeds (Student's t); `within noise`: the interval of the \
             difference from the best, seed by seed, contains 0"
        ));
    } else {
        say("with one seed, these differences may come from the seed alone: `--seeds 3 --resume` adds seeds");
    }
    say(&format!("runs.csv, summary.csv and pictures are in {}", folder.display()));
    Ok(())
}

/// The settings in which the entrants differ, but for the seed.
fn settings(results: &[EntrantResult]) -> Vec<Difference> {
    let configs: Vec<&Config> =
        results.iter().filter_map(|result| result.runs.first()).map(|run| &run.config).collect();
    differences(&configs).into_iter().filter(|difference| difference.key != "seed").collect()
}

fn text(value: Option<impl ToString>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

/// One row a run. docs/sweeps.md has the columns.
fn runs_csv(results: &[EntrantResult]) -> anyhow::Result<Vec<u8>> {
    let settings = settings(results);
    let mut writer = csv::Writer::from_writer(Vec::new());
    let keys = settings.iter().map(|setting| setting.key.as_str());
    let before = ["entrant", "seed", "folder"];
    let after = [
        "steps",
        "tokens",
        "seconds",
        "parameters",
        "final_valid_loss",
        "final_bits_per_byte",
        "best_valid_loss",
        "best_step",
        "final_learning_rate",
        "tokens_per_second",
        "diverged_at_step",
    ];
    writer.write_record(before.into_iter().chain(keys).chain(after))?;
    for (index, result) in results.iter().enumerate() {
        for run in &result.runs {
            let (last, best) = (run.last_evaluation(), run.best_evaluation());
            let before = [result.label.clone(), run.config.seed.to_string(), run.folder.display().to_string()];
            let after = [
                run.steps().to_string(),
                run.tokens().to_string(),
                run.seconds().to_string(),
                text(run.parameters),
                text(last.map(|entry| entry.valid_loss)),
                text(last.map(|entry| entry.bits_per_byte)),
                text(best.map(|entry| entry.valid_loss)),
                text(best.map(|entry| entry.step)),
                text(run.final_rate()),
                text(run.tokens_per_second()),
                text(run.diverged.as_ref().map(|diverged| diverged.step)),
            ];
            let values = settings.iter().map(|setting| setting.words(index));
            writer.write_record(before.into_iter().chain(values).chain(after))?;
        }
    }
    Ok(writer.into_inner()?)
}

/// One row an entrant, the best first. docs/sweeps.md has the columns.
fn summary_csv(results: &[EntrantResult]) -> anyhow::Result<Vec<u8>> {
    let (settings, measure, ranked) = (settings(results), measure(results), ranked(results));
    let mut writer = csv::Writer::from_writer(Vec::new());
    let keys = settings.iter().map(|setting| setting.key.as_str());
    let after = [
        "runs",
        "steps",
        "measure",
        "final_loss",
        "final_loss_half_width",
        "best_loss",
        "behind_best",
        "behind_best_half_width",
        "within_noise",
        "diverged_at_step",
    ];
    writer.write_record(["entrant"].into_iter().chain(keys).chain(after))?;
    for result in &ranked {
        let index = results.iter().position(|other| std::ptr::eq(other, *result)).unwrap_or_default();
        let loss = result.final_loss(measure);
        let behind = behind(result, &ranked, measure);
        let several = result.runs.len() > 1;
        let after = [
            result.runs.len().to_string(),
            text(result.runs.iter().map(RecordedRun::steps).min()),
            measure.words().to_owned(),
            text(loss.map(|loss| loss.mean)),
            text(loss.filter(|_| several).map(|loss| loss.half_width)),
            text(result.best_loss(measure)),
            text(behind.map(|behind| behind.difference.mean)),
            text(behind.filter(|behind| behind.has_interval).map(|behind| behind.difference.half_width)),
            text(behind.and_then(|behind| behind.is_noise())),
            text(result.diverged()),
        ];
        let values = settings.iter().map(|setting| setting.words(index));
        writer.write_record(std::iter::once(result.label.clone()).chain(values).chain(after))?;
    }
    Ok(writer.into_inner()?)
}

/// How far an entrant is behind the best one, where both were trained as long.
fn behind(result: &EntrantResult, ranked: &[&EntrantResult], measure: Measure) -> Option<Behind> {
    let best = ranked.first().filter(|best| best.left_at == result.left_at && !std::ptr::eq(**best, result))?;
    Behind::between(result, best, measure)
}

/// The best first.
fn table(results: &[EntrantResult]) -> Table {
    let (measure, ranked) = (measure(results), ranked(results));
    let unit = match measure {
        Measure::Nats => "",
        Measure::Bits => ", bits/byte",
    };
    let parameters = |result: &EntrantResult| result.runs.first().and_then(|run| run.parameters);
    let sizes_differ = ranked.iter().any(|result| parameters(result) != parameters(ranked[0]));
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_content_arrangement(ContentArrangement::Disabled);
    let mut headings = vec!["entrant".to_owned()];
    headings.extend(sizes_differ.then(|| "parameters".to_owned()));
    headings.extend([format!("final loss{unit}"), format!("best loss{unit}")]);
    headings.extend(["behind", "tokens/s", ""].map(str::to_owned));
    table.set_header(headings);
    for result in &ranked {
        let mut cells = vec![normalize_untrusted_str(&result.label)];
        cells.extend(sizes_differ.then(|| parameters(result).map(grouped).unwrap_or_default()));
        let interval = |band: kiln_convergence::Band, several: bool| {
            let half_width = if several { format!(" ± {:.4}", band.half_width) } else { String::new() };
            format!("{:.4}{half_width}", band.mean)
        };
        let behind = behind(result, &ranked, measure);
        let loss = result.final_loss(measure).map(|loss| interval(loss, result.runs.len() > 1));
        cells.extend([
            loss.unwrap_or_default(),
            result.best_loss(measure).map(|loss| format!("{loss:.4}")).unwrap_or_default(),
            behind.map(|behind| interval(behind.difference, behind.has_interval)).unwrap_or_default(),
            speed(result).map(grouped).unwrap_or_default(),
            remark(result, behind, std::ptr::eq(*result, ranked[0])),
        ]);
        table.add_row(cells);
    }
    table
}

/// Mean tokens per second.
fn speed(result: &EntrantResult) -> Option<u64> {
    let speeds: Vec<f64> = result.runs.iter().filter_map(RecordedRun::tokens_per_second).collect();
    (!speeds.is_empty()).then(|| (speeds.iter().sum::<f64>() / speeds.len() as f64) as u64)
}

fn remark(result: &EntrantResult, behind: Option<Behind>, is_best: bool) -> String {
    let (runs, diverged) = (result.runs.len(), result.runs.iter().filter(|run| run.diverged.is_some()).count());
    match (result.diverged(), result.left_at) {
        (Some(step), _) if runs > 1 => format!("{diverged} of {runs} diverged, the first at step {step}"),
        (Some(step), _) => format!("diverged at step {step}"),
        (None, Some(step)) => format!("left behind at step {}", grouped(step)),
        (None, None) if is_best => "best".to_owned(),
        (None, None) => match behind.and_then(|behind| behind.is_noise()) {
            Some(true) => "within noise".to_owned(),
            Some(false) => "worse".to_owned(),
            None => String::new(),
        },
    }
}

/// The runs of each of the best entrants, in the order in which all were given.
fn groups(results: &[EntrantResult]) -> Vec<Group<'_>> {
    let ranked = ranked(results);
    let is_shown = |result: &EntrantResult| ranked.iter().take(MOST_CURVES).any(|other| std::ptr::eq(*other, result));
    let shown = results.iter().filter(|result| is_shown(result));
    shown.map(|result| Group { label: result.label.clone(), runs: result.runs.iter().collect() }).collect()
}

/// Validation loss, smoothed training loss and rate over the tokens; and the final loss over the values of a number, if
/// one number is all that the entrants differ in. Each with the name of its files.
fn charts(results: &[EntrantResult]) -> Vec<(&'static str, Chart)> {
    let groups = groups(results);
    let curves =
        [("validation-loss", Curve::Validation), ("training-loss", Curve::Training), ("learning-rate", Curve::Rate)];
    let mut charts: Vec<(&str, Chart)> =
        curves.map(|(name, curve)| (name, chart(&groups, curve, Along::Token))).into_iter().collect();
    if results.len() > MOST_CURVES {
        for (_, chart) in &mut charts {
            let more = chart.note.take().map(|note| format!("; {note}")).unwrap_or_default();
            chart.note = Some(format!("the best {MOST_CURVES} of {}{more}", results.len()));
        }
    }
    charts.extend(by_value(results).map(|chart| ("final-loss", chart)));
    charts
}

/// The final loss over the values of the one key that the entrants differ in, if those are three numbers or more.
fn by_value(results: &[EntrantResult]) -> Option<Chart> {
    let settings = settings(results);
    let [difference] = &settings[..] else { return None };
    let numbers = difference.numbers()?;
    let measure = measure(results);
    let whole = numbers.iter().zip(results).filter(|(_, result)| result.left_at.is_none());
    let mut points: Vec<_> =
        whole.filter_map(|(number, result)| Some((*number, result.final_loss(measure)?))).collect();
    points.sort_by(|left, right| left.0.total_cmp(&right.0));
    let ([first, .., last], true) = (&points[..], points.len() > 2) else { return None };
    let is_logarithmic = first.0 > 0.0 && last.0 / first.0 >= 10.0;
    let scale = if is_logarithmic { Scale::Logarithmic } else { Scale::Linear };
    let several = results.iter().all(|result| result.runs.len() > 1);
    let band = several.then(|| {
        let edges = points.iter().map(|(_, loss)| (loss.mean - loss.half_width, loss.mean + loss.half_width));
        edges.collect()
    });
    let means = points.iter().map(|(number, loss)| (*number, loss.mean)).collect();
    Some(Chart {
        title: "Final validation loss".to_owned(),
        x: Axis { scale, ..Axis::linear(difference.key.clone()) },
        y: Axis::linear(measure.words()),
        series: vec![Series { band, ..Series::curve(String::new(), 0, means) }],
        note: several.then(|| "means over seeds, with their 95 % intervals".to_owned()),
    })
}
