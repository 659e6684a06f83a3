//! `configs/README.md` against the schema.

use std::collections::BTreeSet;

use kiln_settings::Schema;

use super::super::sections::Config;
use super::super::words::WORDS;
use super::support::{read, right_text, values};

const README: &str = include_str!("../../../../../configs/README.md");

/// Every row of every table of keys: path, unit or values, default.
fn rows() -> Vec<(String, String, String)> {
    let mut table: Option<String> = None;
    let mut rows = Vec::new();
    for line in README.lines() {
        if line.starts_with('#') {
            let heading = line.trim_start_matches('#').trim();
            table = match heading.strip_prefix("`[").and_then(|heading| heading.strip_suffix("]`")) {
                Some(name) => Some(format!("{name}.")),
                None => (heading == "Top level").then(String::new),
            };
        }
        // A bar inside a cell is written `\|`.
        let line = line.replace("\\|", "\u{1}");
        let cells: Vec<String> = line.split('|').map(|cell| cell.trim().replace('\u{1}', "|")).collect();
        if let (Some(table), [_, key, _, unit, default, _]) = (&table, cells.as_slice())
            && let Some(key) = key.strip_prefix('`').and_then(|key| key.strip_suffix('`'))
        {
            rows.push((format!("{table}{key}"), unit.clone(), default.clone()));
        }
    }
    rows
}

#[test]
fn every_key_is_in_the_readme_and_nothing_else() {
    let documented: BTreeSet<String> = rows().into_iter().map(|(path, ..)| path).collect();
    let known: BTreeSet<String> = values().into_iter().map(|(path, _)| path).collect();
    let missing: Vec<_> = known.difference(&documented).collect();
    let unknown: Vec<_> = documented.difference(&known).collect();
    assert!(
        missing.is_empty() && unknown.is_empty(),
        "missing in configs/README.md: {missing:?}; no such key: {unknown:?}"
    );
    assert!(rows().iter().all(|(path, unit, _)| !unit.is_empty() || panic!("`{path}` has no unit or values")));
}

#[test]
fn the_defaults_in_the_readme_are_the_defaults() {
    for (path, _, documented) in rows() {
        let resolved: toml::Table =
            read(&right_text(&path)).expect("the text is right").to_toml().parse().expect("it is TOML");
        let value = path.split('.').try_fold(&toml::Value::Table(resolved), |value, key| value.get(key)).cloned();
        let needed = right_text(&path)
            .lines()
            .any(|line| line.starts_with(&format!("{} = ", path.rsplit('.').next().unwrap_or(&path))));
        match documented.strip_prefix('`').and_then(|text| text.strip_suffix('`')) {
            Some(text) if !text.contains('.') || text.parse::<f64>().is_ok() || text.starts_with(['[', '"']) => {
                let documented: toml::Table =
                    format!("value = {text}").parse().unwrap_or_else(|error| panic!("{path}: {error}"));
                if path != "seed" {
                    assert_eq!(value.as_ref(), documented.get("value"), "the default of `{path}`");
                }
            }
            // Words: the value is left out or follows from another key.
            _ if !documented.is_empty() => assert_eq!(value, None, "`{path}` has a default of its own"),
            _ => assert!(needed, "`{path}` has no default in configs/README.md, but need not be written"),
        }
    }
}

#[test]
fn the_words_of_other_programs_are_those_of_the_readme_and_lead_to_keys_that_exist() {
    let (_, section) = README.split_once("\n## Coming from nanoGPT\n").expect("there is such a section");
    let rows: Vec<String> = section
        .lines()
        .take_while(|line| !line.starts_with('#'))
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.replace("| |", "|  |"))
        .collect();
    assert_eq!(rows, WORDS.map(|(there, here, more)| format!("| `{there}` | `{here}` | {more} |")));
    let schema = Schema::of::<Config>();
    for (there, here, _) in WORDS {
        assert!(schema.get(here).is_some(), "`{there}`: there is no `{here}`");
    }
}
