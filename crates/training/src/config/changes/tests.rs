//! The table against the schema, and what it says to single changes.

use super::*;
use kiln_settings::{Override, Source};

const TEXT: &str = "[data.builtin]\n[tokenizer.character]\n[model.lstm]\nhidden = 32\n[optimizer.sgd]\n\
    [schedule.cosine]\nrate = 0.5\n[run]\nsteps = 100\nbatch = 4\ncontext = 16\n";

fn config(overrides: &[&str]) -> Config {
    let overrides: Vec<Override> = overrides.iter().map(|text| Override::parse("--set", text).unwrap()).collect();
    Config::read(&Source::new("run.toml", TEXT), &overrides).unwrap_or_else(|errors| panic!("{errors}"))
}

/// The changes from one set of overrides to another, as they are shown, with what they mean.
fn reported(before: &[&str], now: &[&str]) -> Vec<(String, Meaning)> {
    changes(&config(before), &config(now)).into_iter().map(|(change, meaning)| (change.to_string(), meaning)).collect()
}

/// Every key that a change can be of: values, and choices.
fn keys() -> Vec<String> {
    let is_changed = |path: &str, kind: &Kind| !path.ends_with("[]") && !matches!(kind, Kind::Table(_) | Kind::Map);
    let schema = Schema::of::<Config>();
    let entries = schema.entries().filter(|(path, entry)| is_changed(path, &entry.kind));
    entries.map(|(path, _)| path.to_owned()).collect()
}

#[test]
fn every_key_of_the_schema_is_in_the_table() {
    let unknown: Vec<_> = keys().into_iter().filter(|key| rule(key).is_none()).collect();
    assert!(unknown.is_empty(), "say in `RULES` what a change of these means for a run that resumes: {unknown:?}");
}

#[test]
fn a_schedule_by_time_may_change_and_a_new_key_of_one_that_follows_losses_may_not() {
    assert_eq!(rule("schedule.cosine.final-rate"), Some(Rule::Course));
    assert_eq!(rule("schedule.error-floor.a-new-key"), None);
    assert_eq!(rule("schedule.another.rate"), None);
}

#[test]
fn every_row_of_the_table_is_needed_and_careful() {
    let keys = keys();
    let first = |key: &String| RULES.iter().position(|(pattern, _)| fits(pattern, key));
    let used: Vec<usize> = keys.iter().filter_map(first).collect();
    for (index, (pattern, rule)) in RULES.iter().enumerate() {
        assert!(used.contains(&index), "no key is decided by `{pattern}`");
        assert!(!pattern.contains("**") || *rule == Rule::Refused, "`{pattern}` allows keys that are not written yet");
    }
}

#[test]
fn nothing_changes_where_a_default_is_spelled_out() {
    assert_eq!(reported(&[], &["run.keep=3", "seed=1337", "run.windows=\"shuffled\""]), []);
}

#[test]
fn what_shapes_or_state_depend_on_is_refused() {
    for (setting, shown) in [
        ("seed=1", "seed: 1337 -> 1"),
        ("data.builtin.characters=5000", "data.builtin.characters: 1000000 -> 5000"),
        ("tokenizer.character.unknown=\"token\"", "tokenizer.character.unknown: \"error\" -> \"token\""),
        ("model.lstm.hidden=64", "model.lstm.hidden: 32 -> 64"),
        ("model.lstm.embedding=16", "model.lstm.embedding: none -> 16"),
        ("run.context=8", "run.context: 16 -> 8"),
        ("run.batch=2", "run.batch: 4 -> 2"),
        ("run.accumulate=2", "run.accumulate: 1 -> 2"),
        ("run.windows=\"streams\"", "run.windows: \"shuffled\" -> \"streams\""),
        ("optimizer.sgd.momentum=0.5", "optimizer.sgd.momentum: 0.0 -> 0.5"),
    ] {
        assert_eq!(reported(&[], &[setting]), [(shown.to_owned(), Meaning::Refused)]);
    }
}

#[test]
fn names_of_texts_and_tokenizers_may_change_and_how_they_are_read_may_not() {
    // Which texts they are is compared by their hashes.
    let with = |data: &str, tokenizer: &str| {
        let text = TEXT.replacen("[data.builtin]", data, 1).replacen("[tokenizer.character]", tokenizer, 1);
        Config::read(&Source::new("a.toml", &text), &[]).unwrap()
    };
    let meanings = |before: &Config, now: &Config| -> Vec<Meaning> {
        changes(before, now).into_iter().map(|(_, meaning)| meaning).collect()
    };
    let file = "[tokenizer.file]\npath = \"t.json\"";
    let before = with("[data.file]\npaths = [\"a.txt\"]", file);
    assert_eq!(meanings(&before, &with("[data.file]\npaths = [\"/mnt/a.txt\"]", file)), [Meaning::Harmless]);
    let url = format!("[data.download]\nurl = \"https://example.org/a.txt\"\nsha256 = \"{}\"", "0".repeat(64));
    assert!(meanings(&before, &with(&url, file)).iter().all(|meaning| *meaning == Meaning::Harmless));
    let copy = "[tokenizer.file]\npath = \"runs/a/tokenizer.json\"";
    assert_eq!(meanings(&before, &with("[data.file]\npaths = [\"a.txt\"]", copy)), [Meaning::Harmless]);
    let cut = with("[data]\nseparator = \"\"\n[data.file]\npaths = [\"a.txt\"]", file);
    assert_eq!(meanings(&before, &cut), [Meaning::Refused]);
}

#[test]
fn another_choice_is_one_change() {
    let other = Source::new("run.toml", TEXT.replace("[optimizer.sgd]", "[optimizer.adamw]\nweight-decay = 0.3"));
    let other = Config::read(&other, &[]).unwrap();
    let found = changes(&config(&[]), &other);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].0.to_string().as_str(), found[0].1), ("optimizer: \"sgd\" -> \"adamw\"", Meaning::Refused));
}

#[test]
fn an_average_may_begin_and_may_not_end() {
    let with = ["averaging.polyak.start=50"];
    assert_eq!(reported(&[], &with), [("averaging: none -> \"polyak\"".to_owned(), Meaning::Course)]);
    assert_eq!(reported(&with, &[]), [("averaging: \"polyak\" -> none".to_owned(), Meaning::Refused)]);
    let later = ["averaging.polyak.start=60"];
    assert_eq!(reported(&with, &later), [("averaging.polyak.start: 50 -> 60".to_owned(), Meaning::Course)]);
}

#[test]
fn a_momentum_that_is_there_may_change() {
    let (little, much) = (["optimizer.sgd.momentum=0.5"], ["optimizer.sgd.momentum=0.9"]);
    assert_eq!(reported(&little, &much), [("optimizer.sgd.momentum: 0.5 -> 0.9".to_owned(), Meaning::Course)]);
    assert_eq!(reported(&much, &[])[0].1, Meaning::Refused);
}

#[test]
fn more_steps_are_harmless_unless_the_schedule_ends_with_the_run() {
    let shown = "run.steps: 100 -> 200".to_owned();
    assert_eq!(reported(&[], &["run.steps=200"]), [(shown.clone(), Meaning::Course)]);
    let fixed = "schedule.cosine.steps=100";
    assert_eq!(reported(&[fixed], &[fixed, "run.steps=200"]), [(shown, Meaning::Harmless)]);
}

#[test]
fn all_changes_come_at_once_in_the_order_of_their_keys() {
    let now = ["run.log-every=1", "run.clip-norm=1.5", "schedule.cosine.rate=0.25", "run.prompts=[\"a\", \"b\"]"];
    let expected = [
        ("run.clip-norm: none -> 1.5", Meaning::Course),
        ("run.log-every: 10 -> 1", Meaning::Harmless),
        ("run.prompts: [\"\\n\"] -> [\"a\", \"b\"]", Meaning::Harmless),
        ("schedule.cosine.rate: 0.5 -> 0.25", Meaning::Course),
    ];
    assert_eq!(reported(&[], &now), expected.map(|(shown, meaning)| (shown.to_owned(), meaning)));
}

#[test]
fn a_change_survives_the_history_file() {
    let found = changes(&config(&[]), &config(&["run.clip-norm=0.1", "run.prompts=[\"\\\"\"]"]));
    for (change, _) in found {
        let line = serde_json::to_string(&change).unwrap();
        assert_eq!(serde_json::from_str::<Change>(&line).unwrap(), change, "{line}");
    }
}
