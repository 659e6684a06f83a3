//! Right configurations of every choice, to make mistakes in.

use std::sync::LazyLock;

use kiln_optimization::schedules::ScheduleConfig;
use kiln_settings::{ConfigErrors, Kind, Schema, Source, join};

use crate::config::Config;

/// The sources of a corpus, which are no choice to the schema.
const SOURCES: [&str; 6] =
    ["data.file", "data.download", "data.builtin", "data.conversations", "data.pairs", "data.builtin-pairs"];

/// What a model that reads pairs needs, and what needs one.
const OF_PAIRS: [&str; 3] = ["data.builtin-pairs", "tokenizer.byte-pair", "model.encoder-decoder"];
const FOR_PAIRS: [&str; 6] = [
    "data.builtin-pairs",
    "data.pairs",
    "model.encoder-decoder",
    "model.recurrent-encoder-decoder",
    "run.label-smoothing",
    "run.translated-pairs",
];

/// What tables need at least, but those of schedules.
const NEEDED: [(&str, &str); 11] = [
    ("data.pairs", "paths = [\"pairs.tsv\"]"),
    ("data.file", "paths = [\"tales.txt\"]"),
    ("data.download", DOWNLOAD),
    ("data.conversations", "paths = [\"talks.jsonl\"]"),
    ("tokenizer.byte-pair", "vocabulary-size = 512"),
    ("tokenizer.file", "path = \"tokenizer.json\""),
    ("averaging.polyak", "start = 1"),
    ("model.transformer.rotary-scaling.linear", "factor = 2.0"),
    (
        "model.transformer.rotary-scaling.llama3",
        "factor = 8.0\nlow-frequency-factor = 1.0\nhigh-frequency-factor = 4.0\noriginal-context = 64",
    ),
    ("model.transformer.rotary-scaling.yarn", "factor = 4.0\noriginal-context = 64"),
    (
        "model.transformer.rotary-scaling.long-rope",
        // One for each pair of a head of the default width.
        "factors = [1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4]",
    ),
];

/// Keys and sections that may be left out, with the section and what it needs at least; the first that fits counts.
const OPTIONAL: [(&str, &str, &str); 9] = [
    ("start", "start", "from = \"runs/base\"\n"),
    ("distillation", "distillation", "teacher = \"runs/teacher\"\n"),
    ("preference", "preference.dpo", "\n[start]\nfrom = \"runs/base\"\n"),
    ("adapter", "adapter.lora", "rank = 4\n\n[start]\nfrom = \"runs/base\"\n"),
    ("train-only.parameters", "train-only", "last-layers = 1\n"),
    ("train-only.unfreeze-every", "train-only", "last-layers = 1\n"),
    ("train-only", "train-only", "parameters = [\"*.bias\"]\n"),
    ("rates", "rates", ""),
    ("estimates", "estimates", ""),
];

/// What a table needs for a choice within it.
const BESIDE: [(&str, &str); 1] = [("model.transformer", "position = \"rotary\"")];

/// What a table needs for one of its keys.
const BESIDE_KEYS: [(&str, &str); 3] = [
    ("model.transformer.local-rotary-base", "position = \"rotary\"\nattention-window = 8"),
    ("data.pairs.source", "source = \"a.txt\"\ntarget = \"b.txt\""),
    ("data.pairs.target", "source = \"a.txt\"\ntarget = \"b.txt\""),
];

const DOWNLOAD: &str = "url = \"https://example.org/tales.txt\"\n\
    sha256 = \"86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed\"";

/// The keys that the table of `schedule` cannot do without, a line each.
fn needed_by(schedule: &ScheduleConfig) -> String {
    let toml::Value::Table(whole) = toml::Value::try_from(schedule).expect("a schedule is TOML") else {
        panic!("a schedule is a table")
    };
    let keys = whole[schedule.name()].as_table().expect("its settings are a table");
    let is_needed = |key: &str| {
        let mut without = whole.clone();
        without[schedule.name()].as_table_mut().expect("its settings are a table").remove(key);
        toml::Value::Table(without).try_into::<ScheduleConfig>().is_err()
    };
    keys.iter().filter(|(key, _)| is_needed(key)).map(|(key, value)| format!("{key} = {value}\n")).collect()
}

/// Each choice of each section with what it needs at least, found out from the schema.
static CHOICES: LazyLock<Vec<(String, String)>> = LazyLock::new(|| {
    let schema = Schema::of::<Config>();
    let mut tables: Vec<String> = SOURCES.map(str::to_owned).to_vec();
    for (path, entry) in schema.entries() {
        if let Kind::Choice(names) = &entry.kind {
            tables.extend(names.iter().map(|name| join(path, name)));
        }
    }
    let schedules = ScheduleConfig::examples(0.001, 100);
    let needed = |table: &String| {
        let schedule = schedules.iter().find(|schedule| join("schedule", schedule.name()) == *table);
        let keys = NEEDED.iter().find(|(known, _)| known == table).map(|(_, keys)| (*keys).to_owned());
        schedule.map(needed_by).or(keys).unwrap_or_default()
    };
    tables.into_iter().map(|table| (table.clone(), needed(&table).trim_end().to_owned())).collect()
});

/// The text of a right configuration whose choices are those that `path` needs, else the first of each section that
/// must be there.
pub(super) fn right_text(path: &str) -> String {
    let mut text = String::from("seed = 1\n\n");
    for section in ["data", "tokenizer", "model", "optimizer", "schedule", "averaging"] {
        let is_of_section = |table: &str| table.split('.').next() == Some(section);
        let is_within_a_choice = |table: &str| table.matches('.').count() > 1;
        let of_section = || CHOICES.iter().filter(|(table, _)| is_of_section(table) && !is_within_a_choice(table));
        let mut within = CHOICES.iter().filter(|(table, _)| is_of_section(table) && is_within_a_choice(table));
        let within = within.find(|(table, _)| is_in(path, table));
        let wanted = of_section().find(|(table, _)| is_in(path, table));
        // A section that may be left out.
        let first = if section == "averaging" { None } else { of_section().next() };
        // Preferences are conversations.
        let first = first.map(|first| match (section, is_in(path, "preference")) {
            ("data", true) => of_section().find(|(table, _)| table == "data.conversations").unwrap_or(first),
            _ => first,
        });
        let is_of_pairs = FOR_PAIRS.iter().any(|table| is_in(path, table));
        let of_pairs = of_section().find(|(table, _)| is_of_pairs && OF_PAIRS.contains(&table.as_str()));
        let Some((table, keys)) = wanted.or(of_pairs).or(first) else { continue };
        if section == "data" {
            text += "[data]\n\n";
        }
        let beside = BESIDE.iter().find(|(parent, _)| within.is_some() && parent == table);
        let beside = beside.or(BESIDE_KEYS.iter().find(|(key, _)| *key == path && wanted.is_some()));
        let keys = beside.map_or(keys.as_str(), |(_, keys)| keys);
        text += &format!("[{table}]\n{keys}\n\n");
        if let Some((table, keys)) = within {
            text += &format!("[{table}]\n{keys}\n\n");
        }
    }
    text += "[run]\nsteps = 100\nbatch = 4\ncontext = 16\n";
    if let Some((_, table, keys)) = OPTIONAL.iter().find(|(key, ..)| is_in(path, key)) {
        text += &format!("\n[{table}]\n{keys}");
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
    CHOICES.iter().map(|(table, _)| table.as_str())
}
