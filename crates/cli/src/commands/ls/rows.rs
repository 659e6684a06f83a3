//! The lines of the list: runs, sweeps, and folders that are neither.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::UNIX_EPOCH;

use kiln_models::saved::{has_weights_alone, inspect_foreign, is_foreign, read_description};
use kiln_storage::layout::{self, SWEEP_FILE};
use kiln_training::config::Sweep;
use kiln_training::run::{RunState, RunSurvey};
use kiln_training::sweep::Diverged;
use serde::Serialize;
use serde_json::Value;

use crate::runs::{keeps_weights_only, weights_of};

/// A line of the list.
#[derive(Debug, Default, Serialize)]
pub(super) struct Row {
    /// The folder below the listed one.
    pub(super) name: String,
    /// `run`, `sweep`, `model` for one without a run, or `other` for a folder that is none of these and a link that
    /// leads nowhere.
    pub(super) kind: &'static str,
    pub(super) model: Option<&'static str>,
    pub(super) parameters: Option<u64>,
    /// Steps made.
    pub(super) step: Option<u64>,
    /// Steps to make.
    pub(super) steps: Option<u64>,
    /// The best validation loss, nats per token.
    pub(super) best_loss: Option<f64>,
    /// Of the same evaluation, bits per byte of the text.
    pub(super) bits_per_byte: Option<f64>,
    pub(super) whole_checkpoints: Option<usize>,
    pub(super) checkpoints: Option<usize>,
    /// `training`, `done`, `stopped`, `diverged`, `damaged`; of a sweep how many are done.
    pub(super) state: String,
    /// The process that trains.
    pub(super) process: Option<u32>,
    /// Whether no checkpoint has more than weights, so that training cannot resume.
    pub(super) weights_only: bool,
    /// What was done to make the model smaller.
    pub(super) compressed: Vec<String>,
    /// What is wrong, all of it.
    pub(super) damage: Vec<String>,
    pub(super) bytes: u64,
    /// When a file in it was last changed, seconds since 1970.
    pub(super) changed: Option<u64>,
    /// The settings that were asked for, by their keys.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    settings: BTreeMap<String, Value>,
    /// All settings.
    #[serde(skip)]
    config: Value,
}

impl Row {
    /// The setting of a key; the name of the chosen table where the key is a choice, and nothing where it is not set.
    pub(super) fn setting(&self, key: &str) -> Value {
        let found = key.split('.').try_fold(&self.config, |value, part| value.get(part));
        match found {
            Some(Value::Object(tables)) => tables.keys().next().map_or(Value::Null, |name| name.as_str().into()),
            other => other.cloned().unwrap_or_default(),
        }
    }

    /// Which settings `--json` shows.
    pub(super) fn choose_settings<'a>(&mut self, keys: impl Iterator<Item = &'a str>) {
        self.settings = keys.map(|key| (key.to_owned(), self.setting(key))).collect();
    }

    /// The state with what is wrong, or who trains.
    pub(super) fn state_words(&self) -> String {
        match (self.process, self.damage.as_slice()) {
            (Some(process), _) => format!("training now by process {process}"),
            (None, []) if self.state == "training" => "training now".to_owned(),
            (None, []) => {
                let more = [(!self.compressed.is_empty(), "compressed"), (self.weights_only, "weights only")];
                let more = more.iter().filter(|(is_so, _)| *is_so).map(|(_, words)| *words);
                std::iter::once(self.state.as_str()).chain(more).collect::<Vec<_>>().join(", ")
            }
            (None, [damage]) => format!("{}: {damage}", self.state),
            (None, [damage, more @ ..]) => format!("{}: {damage}, and {} more", self.state, more.len()),
        }
    }
}

/// The names of the folders in a folder, and of links that lead nowhere, in alphabetical order.
pub(super) fn folders(folder: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.path().is_dir() || is_broken_link(&entry.path()) {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn is_broken_link(path: &Path) -> bool {
    path.is_symlink() && !path.exists()
}

/// The line of a run; of a sweep, and then those of its runs.
pub(super) fn rows(folder: &Path, name: &str) -> Vec<Row> {
    let path = folder.join(name);
    if layout::is_sweep(&path) {
        return sweep_rows(&path, name);
    }
    vec![run_row(&path, name)]
}

/// The line of a run.
pub(super) fn run_row(path: &Path, name: &str) -> Row {
    let name = name.to_owned();
    if is_broken_link(path) {
        let target = fs::read_link(path).unwrap_or_default();
        let state = format!("a link to {}, which isn't there", target.display());
        return Row { name, kind: "other", state, ..Row::default() };
    }
    let survey = match RunSurvey::of(path) {
        Ok(survey) => survey,
        Err(error) => {
            let (state, damage) = ("damaged".to_owned(), vec![error.to_string()]);
            return Row { name, kind: "run", state, damage, ..Row::default() };
        }
    };
    let bytes = survey.bytes;
    let changed = survey.changed.and_then(|time| Some(time.duration_since(UNIX_EPOCH).ok()?.as_secs()));
    if has_weights_alone(path) || is_foreign(path) {
        let (model, parameters, compressed, damage) = match inspect_foreign(path) {
            Ok(found) => (Some(found.config.name()), Some(found.parameters), found.compressed, Vec::new()),
            Err(error) => (None, None, Vec::new(), vec![error.to_string()]),
        };
        let state = if damage.is_empty() { "a model without a run" } else { "damaged" }.to_owned();
        let row = Row { name, kind: "model", model, parameters, state, ..Row::default() };
        return Row { compressed, damage, bytes, changed, ..row };
    }
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
        parameters: survey.parameters(),
        step: Some(survey.steps()),
        steps,
        best_loss: survey.best_evaluation().map(|best| best.loss),
        bits_per_byte: survey.best_bits_per_byte(),
        whole_checkpoints: Some(survey.checkpoints.iter().filter(|checkpoint| checkpoint.damage.is_none()).count()),
        checkpoints: Some(survey.checkpoints.len()),
        state: state.to_owned(),
        process,
        weights_only: keeps_weights_only(path),
        compressed: compressed(path, &survey),
        damage: survey.all_damage(),
        bytes,
        changed,
        settings: BTreeMap::new(),
        config: config.and_then(|config| serde_json::to_value(config).ok()).unwrap_or_default(),
    }
}

/// What was done to make the model of a run smaller; nothing where that can't be read, which is damage of its own.
fn compressed(run: &Path, survey: &RunSurvey) -> Vec<String> {
    let description = weights_of(run, survey).and_then(|path| read_description(&path).ok());
    description.map(|description| description.compressed).unwrap_or_default()
}

fn sweep_rows(path: &Path, name: &str) -> Vec<Row> {
    let runs = folders(path).unwrap_or_default();
    let runs: Vec<Row> = runs.iter().map(|run| run_row(&path.join(run), &format!("{name}/{run}"))).collect();
    let sweep = Sweep::open(&path.join(SWEEP_FILE), &[]);
    let ended = runs.iter().filter(|run| matches!(run.state.as_str(), "done" | "diverged")).count();
    let all = sweep.as_ref().map_or(runs.len(), |sweep| sweep.runs().len());
    let best = runs.iter().filter_map(|run| run.best_loss).min_by(f64::total_cmp);
    let damage = sweep.as_ref().err().map(|error| error.to_string().lines().next().unwrap_or_default().to_owned());
    let row = Row {
        name: name.to_owned(),
        kind: "sweep",
        best_loss: best,
        state: if damage.is_some() { "damaged".to_owned() } else { format!("{ended} of {all} done") },
        damage: damage.into_iter().collect(),
        bytes: runs.iter().map(|run| run.bytes).sum(),
        changed: runs.iter().filter_map(|run| run.changed).max(),
        ..Row::default()
    };
    std::iter::once(row).chain(runs).collect()
}
