//! Right configurations of every choice, to make mistakes in.

use crate::config::{Config, ConfigErrors, Kind, Schema, Source};

/// Each choice of each section with what it needs at least.
const CHOICES: [(&str, &str); 13] = [
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
];

const DOWNLOAD: &str = "url = \"https://example.org/tales.txt\"\n\
    sha256 = \"86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed\"";

const SCHEDULES: [(&str, &str); 2] = [("schedule.constant", "rate = 0.001"), ("schedule.cosine", "rate = 0.001")];

/// The text of a right configuration whose choices are those that `path` needs, else the first of each section.
pub(super) fn right_text(path: &str) -> String {
    let choices: Vec<(&str, &str)> = CHOICES.iter().chain(&SCHEDULES).copied().collect();
    let mut text = String::from("seed = 1\n\n");
    for section in ["data", "tokenizer", "model", "optimizer", "schedule"] {
        let belongs = |(table, _): &&(&str, &str)| table.split('.').next() == Some(section);
        let wanted = |(table, _): &&(&str, &str)| path == *table || path.starts_with(&format!("{table}."));
        let of_section = || choices.iter().filter(belongs);
        let (table, keys) =
            of_section().find(wanted).or_else(|| of_section().next()).expect("every section has a choice");
        if section == "data" {
            text += "[data]\n\n";
        }
        text += &format!("[{table}]\n{keys}\n\n");
    }
    text += "[run]\nsteps = 100\nbatch = 4\ncontext = 16\n";
    // A section that may be left out.
    if path.starts_with("estimates.") {
        text += "\n[estimates]\n";
    }
    text
}

/// The text with `line` under the header of the table of `path`, which may be the root, instead of what it has for that key.
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
    CHOICES.iter().chain(&SCHEDULES).map(|(table, _)| *table)
}
