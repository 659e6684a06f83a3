//! `kiln ls`: the runs of a folder, one a line.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use annotate_snippets::normalize_untrusted_str;
use clap::Args;
use comfy_table::{ContentArrangement, Table, presets};
use kiln_storage::StorageError;
use kiln_storage::layout::{self, RACE_FILE};
use kiln_training::config::RaceConfig;
use kiln_training::race::Diverged;
use kiln_training::run::{RunState, RunSurvey};
use serde::Serialize;

use crate::runs::FOLDER;
use crate::sizes;
use crate::terminal::say;
use crate::training_display::duration;

/// Arguments of `kiln ls`.
#[derive(Debug, Args)]
pub(crate) struct LsArguments {
    /// The folder of the runs [default: runs]
    folder: Option<PathBuf>,

    /// Print one JSON array
    #[arg(long)]
    json: bool,
}

/// A line of the list.
#[derive(Debug, Default, Serialize)]
struct Row {
    /// The folder below the listed one.
    name: String,
    /// `run`, `race`, or `other` for a folder that is neither.
    kind: &'static str,
    model: Option<&'static str>,
    /// Steps made.
    step: Option<u64>,
    /// Steps to make.
    steps: Option<u64>,
    /// The best validation loss, nats per token.
    best_loss: Option<f64>,
    whole_checkpoints: Option<usize>,
    checkpoints: Option<usize>,
    /// `training`, `done`, `stopped`, `diverged`, `damaged`; of a race how many are done.
    state: String,
    /// The process that trains.
    process: Option<u32>,
    /// What is wrong, all of it.
    damage: Vec<String>,
    bytes: u64,
    /// When a file in it was last changed, seconds since 1970.
    changed: Option<u64>,
}

/// Runs the command.
///
/// # Errors
/// When the folder itself cannot be listed.
pub(crate) fn ls(arguments: &LsArguments) -> anyhow::Result<()> {
    let folder = arguments.folder.as_deref().unwrap_or(Path::new(FOLDER));
    let rows: Vec<Row> = match folders(folder) {
        Ok(folders) => folders.iter().flat_map(|name| rows(folder, name)).collect(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && arguments.folder.is_none() => {
            say(&format!("there is no folder `{FOLDER}` here yet; `kiln train` makes it"));
            Vec::new()
        }
        Err(source) => {
            return Err(StorageError::Io { action: "list", path: folder.to_path_buf(), source }.into());
        }
    };
    let mut stdout = std::io::stdout().lock();
    if arguments.json {
        serde_json::to_writer_pretty(&mut stdout, &rows)?;
        writeln!(stdout)?;
    } else if !rows.is_empty() {
        writeln!(stdout, "{}", table(&rows))?;
    }
    Ok(())
}

/// The names of the folders in a folder, in alphabetical order.
fn folders(folder: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.path().is_dir() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// The line of a run; of a race, and then those of its runs.
fn rows(folder: &Path, name: &str) -> Vec<Row> {
    let path = folder.join(name);
    if layout::is_race(&path) {
        return race_rows(&path, name);
    }
    vec![run_row(&path, name)]
}

fn run_row(path: &Path, name: &str) -> Row {
    let name = name.to_owned();
    let survey = match RunSurvey::of(path) {
        Ok(survey) => survey,
        Err(error) => {
            let (state, damage) = ("damaged".to_owned(), vec![error.to_string()]);
            return Row { name, kind: "run", state, damage, ..Row::default() };
        }
    };
    let bytes = survey.bytes;
    let changed = survey.changed.and_then(|time| Some(time.duration_since(UNIX_EPOCH).ok()?.as_secs()));
    if !layout::is_run(path) {
        return Row { name, kind: "other", state: "no run".to_owned(), bytes, changed, ..Row::default() };
    }
    let config = survey.config.as_ref();
    let steps = config.map(|config| config.run.steps);
    let diverged = steps.and_then(|steps| Diverged::read(path, steps).ok().flatten());
    let (state, process) = match survey.state() {
        RunState::Training(trainer) => ("training", trainer.process),
        RunState::Damaged => ("damaged", None),
        RunState::Stopped if diverged.is_some() => ("diverged", None),
        RunState::Done => ("done", None),
        RunState::Stopped => ("stopped", None),
    };
    Row {
        name,
        kind: "run",
        model: config.map(|config| config.model.name()),
        step: Some(survey.steps()),
        steps,
        best_loss: survey.best_evaluation().map(|best| best.loss),
        whole_checkpoints: Some(survey.checkpoints.iter().filter(|checkpoint| checkpoint.damage.is_none()).count()),
        checkpoints: Some(survey.checkpoints.len()),
        state: state.to_owned(),
        process,
        damage: survey.all_damage(),
        bytes,
        changed,
    }
}

fn race_rows(path: &Path, name: &str) -> Vec<Row> {
    let runs = folders(path).unwrap_or_default();
    let runs: Vec<Row> = runs.iter().map(|run| run_row(&path.join(run), &format!("{name}/{run}"))).collect();
    let race = RaceConfig::open(&path.join(RACE_FILE), &[]);
    let ended = runs.iter().filter(|run| matches!(run.state.as_str(), "done" | "diverged")).count();
    let entrants = race.as_ref().map_or(runs.len(), |race| race.entrants.len());
    let best = runs.iter().filter_map(|run| run.best_loss).min_by(f64::total_cmp);
    let damage = race.as_ref().err().map(|error| error.to_string().lines().next().unwrap_or_default().to_owned());
    let row = Row {
        name: name.to_owned(),
        kind: "race",
        model: race.as_ref().ok().map(|race| race.model.name()),
        steps: race.as_ref().ok().map(|race| race.run.steps),
        best_loss: best,
        state: if damage.is_some() { "damaged".to_owned() } else { format!("{ended} of {entrants} done") },
        damage: damage.into_iter().collect(),
        bytes: runs.iter().map(|run| run.bytes).sum(),
        changed: runs.iter().filter_map(|run| run.changed).max(),
        ..Row::default()
    };
    std::iter::once(row).chain(runs).collect()
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["name", "model", "steps", "best loss", "checkpoints", "state", "size", "last change"]);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    table.add_rows(rows.iter().map(|row| cells(row, now)));
    table
}

fn cells(row: &Row, now: u64) -> [String; 8] {
    let number = |number: Option<u64>| number.map(|number| number.to_string());
    let of = |some: Option<String>, all: Option<String>| match (some, all) {
        (Some(some), Some(all)) => format!("{some} / {all}"),
        (some, all) => some.or(all).unwrap_or_default(),
    };
    let whole = number(row.whole_checkpoints.map(|count| count as u64));
    let state = match (row.process, row.damage.as_slice()) {
        (Some(process), _) => format!("training now by process {process}"),
        (None, []) if row.state == "training" => "training now".to_owned(),
        (None, []) => row.state.clone(),
        (None, [damage]) => format!("{}: {damage}", row.state),
        (None, [damage, more @ ..]) => format!("{}: {damage}, and {} more", row.state, more.len()),
    };
    [
        normalize_untrusted_str(&row.name),
        row.model.unwrap_or_default().to_owned(),
        of(number(row.step), number(row.steps)),
        row.best_loss.map(|loss| format!("{loss:.4}")).unwrap_or_default(),
        of(whole, number(row.checkpoints.map(|count| count as u64))),
        normalize_untrusted_str(&state),
        sizes::bytes(row.bytes),
        row.changed.map(|changed| format!("{} ago", duration(now.saturating_sub(changed) as f64))).unwrap_or_default(),
    ]
}
