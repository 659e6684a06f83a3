//! `kiln log RUN`: what a run has recorded, a line a step.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;

use annotate_snippets::normalize_untrusted_str;
use clap::Args;
use comfy_table::{ContentArrangement, Table, presets};
use kiln_storage::layout::METRICS_FILE;
use kiln_training::run::{EvaluationEntry, Metrics, Rollback, SkipEntry, StepEntry};

use crate::arguments::RunsArguments;
use crate::runs::make_sure_of_a_run;
use crate::training_display::grouped;

/// Arguments of `kiln log`.
#[derive(Debug, Args)]
#[command(
    after_help = "Losses are in nats per token; the rate is that of the step, and the norm that of its gradient \
                        before clipping. `metrics.jsonl` in the run's folder has the same, an object a line."
)]
pub(crate) struct LogArguments {
    /// The run, by folder or name
    run: PathBuf,

    #[command(flatten)]
    runs: RunsArguments,

    /// Print comma-separated values in full precision, under the names of `metrics.jsonl`
    #[arg(long)]
    csv: bool,
}

/// Everything that was recorded of one step.
#[derive(Default)]
struct Line {
    step: Option<StepEntry>,
    evaluation: Option<EvaluationEntry>,
    skip: Option<SkipEntry>,
    rollback: Option<Rollback>,
}

/// `kiln log`.
pub(crate) fn log(arguments: &LogArguments) -> anyhow::Result<()> {
    let path = arguments.runs.find(&arguments.run)?;
    make_sure_of_a_run(&path)?;
    let lines = by_step(Metrics::read(&path.join(METRICS_FILE))?);
    if arguments.csv { print_csv(&lines) } else { print_table(&lines) }
}

fn by_step(metrics: Metrics) -> BTreeMap<u64, Line> {
    let mut lines: BTreeMap<u64, Line> = BTreeMap::new();
    for entry in metrics.steps {
        let step = entry.step;
        lines.entry(step).or_default().step = Some(entry);
    }
    for entry in metrics.evaluations {
        let step = entry.step;
        lines.entry(step).or_default().evaluation = Some(entry);
    }
    for entry in metrics.skips {
        let step = entry.step;
        lines.entry(step).or_default().skip = Some(entry);
    }
    for entry in metrics.rollbacks {
        lines.entry(entry.step).or_default().rollback = Some(entry.rolled_back);
    }
    lines
}

fn print_csv(lines: &BTreeMap<u64, Line>) -> anyhow::Result<()> {
    // Written to memory first: the writer wraps an output that was closed in an error of its own.
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([
        "step",
        "tokens",
        "train_loss",
        "valid_loss",
        "bits_per_byte",
        "perplexity",
        "learning_rate",
        "gradient_norm",
        "tokens_per_second",
        "gradient_noise",
        "noise_scale",
        "sharpness",
        "skipped",
        "rolled_back_to",
    ])?;
    for (number, line) in lines {
        let of_step = |value: fn(&StepEntry) -> Option<f64>| text(line.step.as_ref().and_then(value));
        let of_evaluation = |value: fn(&EvaluationEntry) -> f64| text(line.evaluation.as_ref().map(value));
        writer.write_record([
            number.to_string(),
            text(line.step.as_ref().map(|step| step.tokens)),
            of_step(|step| Some(step.train_loss)),
            of_evaluation(|evaluation| evaluation.valid_loss),
            of_evaluation(|evaluation| evaluation.bits_per_byte),
            of_evaluation(|evaluation| evaluation.perplexity),
            of_step(|step| Some(step.learning_rate)),
            of_step(|step| Some(step.gradient_norm)),
            of_step(|step| Some(step.tokens_per_second)),
            of_step(|step| step.gradient_noise),
            of_step(|step| step.noise_scale),
            of_step(|step| step.sharpness),
            text(line.skip.as_ref().map(|skip| &skip.skipped)),
            text(line.rollback.as_ref().map(|rollback| rollback.to)),
        ])?;
    }
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(&writer.into_inner()?)?;
    Ok(stdout.flush()?)
}

/// The value, or nothing.
fn text(value: Option<impl ToString>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

fn print_table(lines: &BTreeMap<u64, Line>) -> anyhow::Result<()> {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_content_arrangement(ContentArrangement::Disabled);
    let headings = ["step", "tokens", "train", "validation", "bits/byte", "rate", "norm", "tokens/s", ""];
    table.set_header(headings);
    for (number, line) in lines {
        let (step, evaluation) = (line.step.as_ref(), line.evaluation.as_ref());
        let four = |value: Option<f64>| text(value.map(|value| format!("{value:.4}")));
        table.add_row([
            number.to_string(),
            text(step.map(|step| grouped(step.tokens))),
            four(step.map(|step| step.train_loss)),
            four(evaluation.map(|evaluation| evaluation.valid_loss)),
            four(evaluation.map(|evaluation| evaluation.bits_per_byte)),
            text(step.map(|step| format!("{:.3e}", step.learning_rate))),
            text(step.map(|step| format!("{:.3}", step.gradient_norm))),
            text(step.map(|step| format!("{:.0}", step.tokens_per_second))),
            normalize_untrusted_str(&faults(line)),
        ]);
    }
    let mut stdout = std::io::stdout().lock();
    Ok(writeln!(stdout, "{table}")?)
}

/// What went wrong at a step.
fn faults(line: &Line) -> String {
    let skip = line.skip.as_ref().map(|skip| format!("no update: {} was {}", skip.skipped, skip.value));
    let back = line.rollback.as_ref();
    let back = back.map(|back| format!("back from step {} to {}: {} was not finite", back.from, back.to, back.what));
    skip.into_iter().chain(back).collect::<Vec<_>>().join("; ")
}
