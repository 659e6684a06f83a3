//! Right configurations of every choice, to make mistakes in.

use crate::config::Config;
use kiln_settings::{ConfigErrors, Kind, Schema, Source};

/// Each choice of each section with what it needs at least.
const CHOICES: [(&str, &str); 19] = [
    ("data.file", "paths = [\"tales.txt\"]"),
    ("data.download", DOWNLOAD),
    ("data.builtin", ""),
    ("tokenizer.character", ""),
    ("tokenizer.byte", ""),
    ("tokenizer.byte-pair", "vocabulary-size = 512"),
    ("tokenizer.file", "path = \"tokenizer.json\""),
    ("model.rnn", ""),
    ("model.lstm", ""),
    ("model.gru", ""),
    ("model.transformer", ""),
    ("optimizer.adamw", ""),
    ("optimizer.sgd", ""),
    ("optimizer.adam", ""),
    ("optimizer.rmsprop", ""),
    ("optimizer.lion", ""),
    ("optimizer.muon", ""),
    ("optimizer.schedule-free-sgd", ""),
    ("optimizer.schedule-free-adamw", ""),
];

const DOWNLOAD: &str = "url = \"https://example.org/tales.txt\"\n\
    sha256 = \"86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed\"";

const SCHEDULES: [(&str, &str); 16] = [
    ("schedule.constant", "rate = 0.001"),
    ("schedule.inverse-time", "rate = 0.001"),
    ("schedule.inverse-square-root", "rate = 0.001"),
    ("schedule.step", "rate = 0.001\nevery = 10"),
    ("schedule.exponential", "rate = 0.001\nfactor = 0.999"),
    ("schedule.polynomial", "rate = 0.001"),
    ("schedule.linear", "rate = 0.001"),
    ("schedule.cosine", "rate = 0.001"),
    ("schedule.cosine-restarts", "rate = 0.001\nperiod = 10"),
    ("schedule.one-cycle", "rate = 0.001"),
    ("schedule.noam", "width = 128"),
    ("schedule.warmup-stable-decay", "rate = 0.001"),
    ("schedule.piecewise", "rates = [0.001, 0.0001]\nboundaries = [50]"),
    ("schedule.error-floor", "rate = 0.001"),
    ("schedule.reduce-on-plateau", "rate = 0.001"),
    ("schedule.non-monotone", "rate = 0.001"),
];

/// Choices of a section that may be left out.
const AVERAGES: [(&str, &str); 3] =
    [("averaging.polyak", "start = 1"), ("averaging.exponential", ""), ("averaging.non-monotone", "")];

/// The text of a right configuration whose choices are those that `path` needs, else the first of each section that
/// must be there.
pub(super) fn right_text(path: &str) -> String {
    let choices: Vec<(&str, &str)> = CHOICES.iter().chain(&SCHEDULES).copied().collect();
    let mut text = String::from("seed = 1\n\n");
    for section in ["data", "tokenizer", "model", "optimizer", "schedule"] {
        let belongs = |(table, _): &&(&str, &str)| table.split('.').next() == Some(section);
        let wanted = |(table, _): &&(&str, &str)| is_in(path, table);
        let of_section = || choices.iter().filter(belongs);
        let (table, keys) =
            of_section().find(wanted).or_else(|| of_section().next()).expect("every section has a choice");
        if section == "data" {
            text += "[data]\n\n";
        }
        text += &format!("[{table}]\n{keys}\n\n");
    }
    if let Some((table, keys)) = AVERAGES.iter().find(|(table, _)| is_in(path, table)) {
        text += &format!("[{table}]\n{keys}\n\n");
    }
    text += "[run]\nsteps = 100\nbatch = 4\ncontext = 16\n";
    // A section that may be left out.
    if path.starts_with("estimates.") {
        text += "\n[estimates]\n";
    }
    text
}

fn is_in(path: &str, table: &str) -> bool {
    path == table || path.starts_with(&format!("{table}."))
}

/// The text with `line` under the header of the table of `path`, which may be the root, instead of what it has for that
/// key.
pub(super) fn with_line(path: &str, line: &str) -> String {
    let text = right_text(path);
    let (table, key) = path.rsplit_once('.').unwrap_or(("", path));
    let header = format!("[{table}]");
    let mut inside = table.is_empty();
    let mut lines: Vec<String> = if inside { vec![line.to_owned()] } else { Vec::new() };
    for old in text.lines() {
        inside = if old.starts_with('[') { old == header } else { inside };
        if !(inside && old.split(" = ").next() == Some(key)) {
            lines.push(old.to_owned());
        }
        if old == header {
            lines.push(line.to_owned());
        }
    }
    lines.join("\n") + "\n"
}

pub(super) fn read(text: &str) -> Result<Config, ConfigErrors> {
    Config::read(&Source::new("run.toml", text), &[])
}

/// Every key that holds a value, not a table or the item of a list.
pub(super) fn values() -> Vec<(String, Kind)> {
    let is_value = |path: &str, kind: &Kind| !path.ends_with("[]") && !matches!(kind, Kind::Table(_) | Kind::Choice(_));
    let schema = Schema::of::<Config>();
    let values: Vec<(String, Kind)> = schema
        .entries()
        .filter(|(path, entry)| is_value(path, &entry.kind))
        .map(|(path, entry)| (path.to_owned(), entry.kind.clone()))
        .collect();
    assert!(values.len() > 60, "the schema has lost keys: {values:?}");
    values
}

/// Every choice of every section, for tests that want each once.
pub(super) fn choices() -> impl Iterator<Item = &'static str> {
    CHOICES.iter().chain(&SCHEDULES).chain(&AVERAGES).map(|(table, _)| *table)
}
