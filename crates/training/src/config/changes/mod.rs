//! What may change when a run is resumed, and what each change means for it.
//!
//! Two configurations are compared as their resolved documents, key by key. [`RULES`] and [`rule`] are the one place
//! that says what a change of a key means; the tests make sure that it knows every key of the schema.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use toml::Value;

use kiln_optimization::schedules::ScheduleConfig;
use kiln_settings::{Entry, Kind, Schema, join};

use super::sections::Config;

#[cfg(test)]
mod tests;

/// What a change of a key means for a resumed run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// What is saved has another shape or means something else under the new value, so the run cannot resume with it.
    Refused,
    /// Training takes another course from here on than one with the new value from the start.
    Course,
    /// How long, and what is looked at and kept on the way.
    Harmless,
}

/// A key whose value is another one than before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The dotted key; that of the section if another of its tables was chosen.
    pub key: String,
    /// The value before; nothing if the key was left out.
    pub from: Option<Value>,
    /// The value now; nothing if the key is left out.
    pub to: Option<Value>,
}

impl fmt::Display for Change {
    /// `run.steps: 2000 -> 4000`
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = |value: &Option<Value>| value.as_ref().map_or_else(|| "none".to_owned(), on_one_line);
        write!(formatter, "{}: {} -> {}", self.key, words(&self.from), words(&self.to))
    }
}

/// The value as TOML, where a text with line ends stays on one line.
pub(super) fn on_one_line(value: &Value) -> String {
    match value {
        // TOML's basic strings escape as JSON's do.
        Value::String(text) => serde_json::Value::from(text.as_str()).to_string(),
        Value::Array(values) => format!("[{}]", values.iter().map(on_one_line).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

/// The changes that a run cannot resume with, all of them.
#[derive(Debug, thiserror::Error)]
#[error("`{}` was started with other settings, and can't be resumed with these:{}", run.display(), lines(changes))]
pub struct RefusedChanges {
    /// The folder of the run, or of the race.
    pub run: PathBuf,
    /// At least one.
    pub changes: Vec<Change>,
}

impl RefusedChanges {
    /// An error where there is a change, with the run that it was refused for.
    ///
    /// # Errors
    /// When `changes` has any.
    pub fn check(run: &Path, changes: Vec<Change>) -> Result<(), Self> {
        if changes.is_empty() { Ok(()) } else { Err(Self { run: run.to_path_buf(), changes }) }
    }
}

fn lines(changes: &[Change]) -> String {
    changes.iter().map(|change| format!("\n  {change}")).collect()
}

/// What a change of the keys under a pattern means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    Refused,
    Course,
    Harmless,
    /// As [`Rule::Course`]; but an optimizer keeps no momentum where it is 0, so that it cannot begin or end there.
    CourseUnlessZero,
    /// Refused; but from nothing to something the average begins with the next update.
    CourseFromNone,
    /// Harmless; but from nothing to something, or back, refused.
    Moved,
    /// Harmless; but a schedule that ends with the run takes another course.
    Length,
}

/// What each key means, the first pattern that fits. `*` is any one part of a key, `**` any number of parts, also none.
/// The keys of a schedule by time need no row ([`rule`]).
///
/// Only what is refused may be named by `**`: a new key is refused there until somebody has thought about it, and
/// everywhere else a test fails.
const RULES: &[(&str, Rule)] = &[
    ("seed", Rule::Refused),
    // What the texts and the tokenizer are called does not matter: their hashes are compared when they are read.
    ("data.file.paths", Rule::Harmless),
    ("data.conversations.paths", Rule::Harmless),
    ("data.conversations.wrong-lines", Rule::Harmless),
    ("data.validation-files", Rule::Harmless),
    ("data.pairs.paths", Rule::Harmless),
    ("data.pairs.source", Rule::Harmless),
    ("data.pairs.target", Rule::Harmless),
    ("data.download.url", Rule::Harmless),
    ("data.download.sha256", Rule::Harmless),
    ("data.download.name", Rule::Harmless),
    ("tokenizer.file.path", Rule::Harmless),
    ("data.**", Rule::Refused),
    ("tokenizer.**", Rule::Refused),
    ("model.**", Rule::Refused),
    // What they are called does not matter: the start is over, and the teacher's hash is compared.
    ("start.from", Rule::Moved),
    ("start.**", Rule::Refused),
    ("distillation.teacher", Rule::Moved),
    ("distillation.temperature", Rule::Course),
    ("distillation.weight", Rule::Course),
    ("preference", Rule::Refused),
    ("preference.dpo.beta", Rule::Course),
    ("preference.dpo.label-smoothing", Rule::Course),
    ("adapter.**", Rule::Refused),
    ("train-only.**", Rule::Refused),
    ("rates.**", Rule::Refused),
    ("optimizer", Rule::Refused),
    ("optimizer.sgd.momentum", Rule::CourseUnlessZero),
    ("optimizer.rmsprop.momentum", Rule::CourseUnlessZero),
    // It decides whether there is a running mean of the gradient.
    ("optimizer.rmsprop.centered", Rule::Refused),
    ("optimizer.*.betas", Rule::Course),
    ("optimizer.*.epsilon", Rule::Course),
    ("optimizer.*.weight-decay", Rule::Course),
    ("optimizer.*.momentum", Rule::Course),
    ("optimizer.*.nesterov", Rule::Course),
    ("optimizer.rmsprop.decay", Rule::Course),
    ("optimizer.muon.adjustment", Rule::Course),
    ("optimizer.muon.rest-rate", Rule::Course),
    ("optimizer.muon.rest-betas", Rule::Course),
    ("optimizer.muon.rest-epsilon", Rule::Course),
    ("schedule", Rule::Refused),
    // The present rate, or the window of losses, of these is saved, so that a new first one would do nothing.
    ("schedule.error-floor.rate", Rule::Refused),
    ("schedule.error-floor.window", Rule::Refused),
    ("schedule.reduce-on-plateau.rate", Rule::Refused),
    ("schedule.non-monotone.rate", Rule::Refused),
    ("schedule.*.warmup", Rule::Course),
    ("schedule.*.factor", Rule::Course),
    ("schedule.*.patience", Rule::Course),
    ("schedule.error-floor.multiple", Rule::Course),
    ("schedule.error-floor.floor", Rule::Course),
    ("schedule.error-floor.tolerance", Rule::Course),
    ("schedule.error-floor.window-growth", Rule::Course),
    ("schedule.error-floor.standard-errors", Rule::Course),
    ("schedule.reduce-on-plateau.threshold", Rule::Course),
    ("schedule.reduce-on-plateau.cooldown", Rule::Course),
    ("schedule.reduce-on-plateau.minimum-rate", Rule::Course),
    // The best loss so far is saved, and it is one of the old kind.
    ("schedule.reduce-on-plateau.watch", Rule::Refused),
    ("averaging", Rule::CourseFromNone),
    ("averaging.polyak.start", Rule::Course),
    ("averaging.exponential.decay", Rule::Course),
    ("averaging.exponential.bias-correction", Rule::Course),
    ("averaging.non-monotone.patience", Rule::Course),
    ("run.steps", Rule::Length),
    ("run.batch", Rule::Refused),
    ("run.context", Rule::Refused),
    ("run.windows", Rule::Refused),
    ("run.document-state", Rule::Refused),
    ("run.accumulate", Rule::Refused),
    ("run.precision", Rule::Course),
    ("run.recompute", Rule::Harmless),
    ("run.optimizer-state", Rule::Refused),
    ("run.clip-norm", Rule::Course),
    ("run.label-smoothing", Rule::Course),
    ("run.evaluate-every", Rule::Harmless),
    ("run.evaluate-fraction", Rule::Harmless),
    ("run.translated-pairs", Rule::Harmless),
    ("run.on-save-error", Rule::Harmless),
    ("run.patience", Rule::Harmless),
    ("run.checkpoint-every", Rule::Harmless),
    ("run.keep", Rule::Harmless),
    ("run.log-every", Rule::Harmless),
    ("run.sample-every", Rule::Harmless),
    ("run.prompts", Rule::Harmless),
    ("run.sample-tokens", Rule::Harmless),
    ("estimates.noise-every", Rule::Harmless),
    ("estimates.noise-decay", Rule::Harmless),
    ("estimates.sharpness-every", Rule::Harmless),
];

/// Every key in which two configurations differ, in alphabetical order, and what that means for a run that was trained
/// with the first and is to resume with the second.
pub fn changes(before: &Config, now: &Config) -> Vec<(Change, Meaning)> {
    let [before, now] = [Document::new(before), Document::new(now)];
    let mut found = Vec::new();
    for key in before.values.keys().chain(now.values.keys().filter(|key| !before.values.contains_key(*key))) {
        // Under another choice all keys are others; the choice alone says so.
        let is_told = before.choices.iter().any(|choice| {
            key != choice && is_under(key, choice) && before.values.get(choice) != now.values.get(choice)
        });
        let change =
            Change { key: key.clone(), from: before.values.get(key).cloned(), to: now.values.get(key).cloned() };
        if change.from != change.to && !is_told {
            let meaning = meaning(&change, now.schedule_ends_with_the_run);
            found.push((change, meaning));
        }
    }
    found.sort_by(|left, right| left.0.key.cmp(&right.0.key));
    found
}

/// A configuration as dotted keys.
pub(super) struct Document {
    /// Every value by its key; and for each section that is a choice the name of what was chosen.
    pub(super) values: BTreeMap<String, Value>,
    /// The keys of sections that are choices.
    pub(super) choices: Vec<String>,
    schedule_ends_with_the_run: bool,
}

impl Document {
    pub(super) fn new(config: &Config) -> Self {
        let schema = Schema::of::<Config>();
        let is_choice = |(path, entry): (&str, &Entry)| matches!(entry.kind, Kind::Choice(_)).then(|| path.to_owned());
        let choices: Vec<String> = schema.entries().filter_map(is_choice).collect();
        // Text that TOML itself wrote; see `Config::to_toml`.
        let root: toml::Table = config.to_toml().parse().unwrap_or_default();
        let mut values = BTreeMap::new();
        flatten("", &Value::Table(root), &choices, &mut values);
        let steps = format!("schedule.{}.steps", config.schedule.name());
        let schedule_ends_with_the_run = schema.get(&steps).is_some() && !values.contains_key(&steps);
        Self { values, choices, schedule_ends_with_the_run }
    }
}

fn flatten(path: &str, value: &Value, choices: &[String], values: &mut BTreeMap<String, Value>) {
    let Value::Table(table) = value else {
        values.insert(path.to_owned(), value.clone());
        return;
    };
    if choices.iter().any(|choice| choice == path)
        && let Some(name) = table.keys().next()
    {
        values.insert(path.to_owned(), Value::String(name.clone()));
    }
    for (key, value) in table {
        flatten(&join(path, key), value, choices, values);
    }
}

fn is_under(key: &str, table: &str) -> bool {
    key == table || key.strip_prefix(table).is_some_and(|rest| rest.starts_with('.'))
}

fn meaning(change: &Change, schedule_ends_with_the_run: bool) -> Meaning {
    let is_zero = |value: &Option<Value>| value.as_ref().and_then(Value::as_float) == Some(0.0);
    match rule(&change.key) {
        // Nothing that is not known may be changed under a run; the tests see to it that every key is known.
        None | Some(Rule::Refused) => Meaning::Refused,
        Some(Rule::Course) => Meaning::Course,
        Some(Rule::Harmless) => Meaning::Harmless,
        Some(Rule::CourseUnlessZero) if is_zero(&change.from) || is_zero(&change.to) => Meaning::Refused,
        Some(Rule::CourseUnlessZero) => Meaning::Course,
        Some(Rule::CourseFromNone) if change.from.is_some() => Meaning::Refused,
        Some(Rule::CourseFromNone) => Meaning::Course,
        Some(Rule::Moved) if change.from.is_none() || change.to.is_none() => Meaning::Refused,
        Some(Rule::Moved) => Meaning::Harmless,
        Some(Rule::Length) if schedule_ends_with_the_run => Meaning::Course,
        Some(Rule::Length) => Meaning::Harmless,
    }
}

fn rule(key: &str) -> Option<Rule> {
    let row = RULES.iter().find(|(pattern, _)| fits(pattern, key)).map(|(_, rule)| *rule);
    row.or_else(|| is_of_a_schedule_by_time(key).then_some(Rule::Course))
}

/// Such a schedule saves nothing but the number of updates made, so that any of its keys may change.
fn is_of_a_schedule_by_time(key: &str) -> bool {
    let table = key.strip_prefix("schedule.").and_then(|rest| rest.split_once('.')).map(|(table, _)| table);
    table.is_some_and(|table| {
        ScheduleConfig::examples(1.0, 100).iter().any(|schedule| schedule.name() == table && schedule.is_by_time())
    })
}

fn fits(pattern: &str, key: &str) -> bool {
    let mut parts = key.split('.');
    for wanted in pattern.split('.') {
        if wanted == "**" {
            return true;
        }
        if parts.next().is_none_or(|part| wanted != "*" && wanted != part) {
            return false;
        }
    }
    parts.next().is_none()
}
