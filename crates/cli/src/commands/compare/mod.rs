//! `kiln compare RUN...`: runs side by side. `kiln plot RUN`: the curves of one.

mod table;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use kiln_figures::{Chart, terminal};
use kiln_storage::StorageError;
use kiln_storage::layout::{self, METRICS_FILE};

use crate::arguments::RunsArguments;
use crate::exit::UsageError;
use crate::recorded::{Along, Curve, Group, Measure, Picture, RecordedRun, agree, chart, losses_chart};
use crate::runs::{make_sure_of_a_run, quoted};
use crate::terminal::{say, width};

/// Arguments of `kiln compare`.
#[derive(Debug, Args)]
#[command(
    after_help = "Losses are in nats per token, and in bits per byte of the text where the tokenizers differ. The \
                        rows of the table are the settings that differ, then what came out; `*` marks the best."
)]
pub(crate) struct CompareArguments {
    /// The runs, by folder or name; a sweep or a race stands for all of its runs
    #[arg(required = true, value_name = "RUN")]
    paths: Vec<PathBuf>,

    #[command(flatten)]
    drawing: DrawingArguments,

    #[command(flatten)]
    runs: RunsArguments,

    /// Print the table as one JSON object, and no curves
    #[arg(long)]
    json: bool,
}

/// Arguments of `kiln plot`.
#[derive(Debug, Args)]
pub(crate) struct PlotArguments {
    /// The run, by folder or name
    run: PathBuf,

    #[command(flatten)]
    drawing: DrawingArguments,

    #[command(flatten)]
    runs: RunsArguments,
}

/// What is drawn, and where.
#[derive(Debug, Args)]
struct DrawingArguments {
    /// The horizontal axis
    #[arg(long, value_enum, default_value_t)]
    by: Along,

    /// Which curves [default: all in a picture, the losses on the terminal]
    #[arg(long, value_enum, value_name = "CURVE,...", value_delimiter = ',')]
    curves: Vec<Curve>,

    /// Draw into this file, .svg or .png, instead of on the terminal
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl DrawingArguments {
    /// The picture that is asked for, if its name is right.
    fn picture(&self) -> Result<Option<Picture>, UsageError> {
        self.output.clone().map(Picture::named).transpose()
    }

    /// The curves that were asked for; else all in a picture, and the given ones on the terminal.
    fn curves(&self, usual: &[Curve]) -> Vec<Curve> {
        match (self.curves.is_empty(), &self.output) {
            (false, _) => self.curves.clone(),
            (true, Some(_)) => vec![Curve::Validation, Curve::Training, Curve::Rate, Curve::Norm],
            (true, None) => usual.to_vec(),
        }
    }
}

/// `kiln compare`.
pub(crate) fn compare(arguments: &CompareArguments) -> anyhow::Result<()> {
    let picture = arguments.drawing.picture()?;
    let runs = open_all(&arguments.paths, &arguments.runs)?;
    if runs.len() < 2 {
        let path = quoted(&arguments.paths[0].to_string_lossy());
        return Err(UsageError(format!("there is one run to compare; `kiln plot {path}` draws its curves")).into());
    }
    warn(&runs);
    if arguments.json {
        return table::print_json(&runs);
    }
    refuse_nothing(&runs.iter().collect::<Vec<_>>())?;
    let groups: Vec<Group<'_>> = runs.iter().map(|run| Group { label: run.name.clone(), runs: vec![run] }).collect();
    let curves = arguments.drawing.curves(&[Curve::Validation]);
    let charts: Vec<Chart> = curves.into_iter().map(|curve| chart(&groups, curve, arguments.drawing.by)).collect();
    show(&charts, picture.as_ref(), "")?;
    table::print(&runs)
}

/// `kiln plot`.
pub(crate) fn plot(arguments: &PlotArguments) -> anyhow::Result<()> {
    let picture = arguments.drawing.picture()?;
    let path = arguments.runs.find(&arguments.run)?;
    make_sure_of_a_run(&path)?;
    let run = RecordedRun::open(&path)?;
    refuse_nothing(&[&run])?;
    let by = arguments.drawing.by;
    let curves = arguments.drawing.curves(&[Curve::Validation, Curve::Training]);
    let group = [Group { label: String::new(), runs: vec![&run] }];
    // Both losses of one run are in one chart, where it can be seen how they part.
    let both = [Curve::Validation, Curve::Training].iter().all(|curve| curves.contains(curve));
    let mut charts: Vec<Chart> = both.then(|| losses_chart(&run, by)).into_iter().collect();
    let others = curves.into_iter().filter(|curve| !both || !matches!(curve, Curve::Validation | Curve::Training));
    charts.extend(others.map(|curve| chart(&group, curve, by)));
    show(&charts, picture.as_ref(), &run.name)
}

/// Draws the picture, or else the charts on the terminal.
fn show(charts: &[Chart], picture: Option<&Picture>, title: &str) -> anyhow::Result<()> {
    if let Some(picture) = picture {
        return picture.draw(charts, title);
    }
    let mut stdout = std::io::stdout().lock();
    for chart in charts {
        writeln!(stdout, "{}", terminal(chart, width()))?;
    }
    Ok(stdout.flush()?)
}

/// The runs of all paths, each once, with names that tell them apart.
fn open_all(given: &[PathBuf], folder: &RunsArguments) -> anyhow::Result<Vec<RecordedRun>> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for path in given {
        let path = folder.find(path)?;
        let found = if layout::is_sweep(&path) { runs_of_sweep(&path)? } else { vec![path] };
        paths.extend(found);
    }
    let mut runs: Vec<RecordedRun> = Vec::new();
    for path in paths {
        make_sure_of_a_run(&path)?;
        if !runs.iter().any(|run| run.folder == path) {
            runs.push(RecordedRun::open(&path)?);
        }
    }
    let names: Vec<String> = runs.iter().map(|run| run.name.clone()).collect();
    for run in &mut runs {
        if names.iter().filter(|name| **name == run.name).count() > 1 {
            run.name = run.folder.display().to_string();
        }
    }
    Ok(runs)
}

/// The runs of a sweep, in alphabetical order.
fn runs_of_sweep(sweep: &Path) -> Result<Vec<PathBuf>, StorageError> {
    let entries = std::fs::read_dir(sweep).map_err(StorageError::io("list", sweep))?;
    let mut runs: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(|path| layout::is_run(path)).collect();
    runs.sort();
    Ok(runs)
}

/// Makes sure that there is something to draw.
fn refuse_nothing(runs: &[&RecordedRun]) -> Result<(), NothingLogged> {
    let is_empty = |run: &&RecordedRun| run.metrics.steps.is_empty() && run.metrics.evaluations.is_empty();
    match runs {
        [run, ..] if runs.iter().all(is_empty) => Err(NothingLogged { log: run.folder.join(METRICS_FILE) }),
        _ => Ok(()),
    }
}

/// A log has nothing that could be drawn.
#[derive(Debug, thiserror::Error)]
#[error(
    "there is nothing to draw: `{}` has neither a logged step nor an evaluation; the first line comes with the first \
     step", log.display()
)]
pub(crate) struct NothingLogged {
    log: PathBuf,
}

/// Says which numbers can't be compared.
fn warn(runs: &[RecordedRun]) {
    if !agree(runs, RecordedRun::validation_text) {
        say("warning: the runs are evaluated on different texts, so that their losses can't be compared");
    } else if Measure::of(runs) == Measure::Bits {
        say("the tokenizers differ: compare bits per byte, not nats per token");
    }
    let fraction = |run: &RecordedRun| run.config.run.evaluate_fraction;
    if runs.iter().any(|run| fraction(run) != fraction(&runs[0])) {
        say("warning: `run.evaluate-fraction` differs: the losses are those of different parts of the text");
    }
}
