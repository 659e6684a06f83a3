//! The words in which each kind of mistake is reported.

use crate::Violation;

use super::document::{Node, Value};
use super::problem::Problem;
use super::schema::{Kind, Schema, join, listed};
use super::suggestion::same_word;

/// A key that its table does not know; `said` is what is known of it as a word of another program.
pub(crate) fn unknown_key(
    schema: &Schema,
    table: &str,
    key: &str,
    node: &Node,
    known: &[&str],
    meant: Option<&str>,
    said: Option<String>,
) -> Problem {
    let is_choice = matches!(schema.get(table).map(|entry| &entry.kind), Some(Kind::Choice(_)));
    let elsewhere = elsewhere(schema, table, key);
    let mut help = Vec::new();
    match meant {
        Some(meant) if same_word(meant, key) => help.push(format!("did you mean `{meant}`?")),
        _ if !elsewhere.is_empty() => help.push(format!("there is a `{key}` in {}", listed_tables(&elsewhere))),
        _ if said.is_some() => help.extend(said),
        Some(meant) => help.push(format!("did you mean `{meant}`?")),
        None => {}
    }
    let (message, label) = match (table, is_choice) {
        ("", _) => (format!("unknown section or key `{key}`"), "unknown"),
        (_, true) => (format!("unknown `{}`", header(&join(table, key))), "no such table"),
        _ => (format!("unknown key `{key}` in {}", header(table)), "unknown key"),
    };
    help.push(match (table, is_choice) {
        _ if known.is_empty() => format!("{} takes no keys", header(table)),
        ("", _) => format!("the file takes {}", listed(known, "`")),
        (_, true) => format!("choose one of {}", tables(table, known)),
        _ => format!("{} takes {}", header(table), listed(known, "`")),
    });
    let (origin, span) = (node.origin, node.key_span.clone());
    Problem { key: join(table, key), message, label: label.into(), help, origin, span }
}

/// The path of a table as its header would be written: `[run]`, `[entrants.schedule]`, and `[[entrants]]` for an item
/// of a list of tables.
fn header(path: &str) -> String {
    let mut parts = path.split('[');
    let start = parts.next().unwrap_or_default().to_owned();
    let plain = parts.fold(start, |plain, part| plain + part.split_once(']').map_or("", |(_, rest)| rest));
    if path.ends_with(']') { format!("[[{plain}]]") } else { format!("[{plain}]") }
}

/// Other tables with a key of this name; sister tables of a choice come last.
fn elsewhere<'a>(schema: &'a Schema, table: &str, key: &str) -> Vec<&'a str> {
    let mut tables = schema.tables_with(&key.to_lowercase().replace('_', "-"));
    let parent = |path: &str| path.rsplit_once('.').map(|(parent, _)| parent.to_owned());
    tables.retain(|other| *other != table && parent(other) != Some(table.to_owned()));
    tables
}

/// The tables; of many the first, and how many more there are.
fn listed_tables(tables: &[&str]) -> String {
    const SHOWN: usize = 4;
    let shown = tables.iter().take(SHOWN).map(|table| header(table)).collect::<Vec<_>>().join(", ");
    match tables.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// `[model.rnn]`, `[model.lstm]`, ...
fn tables(choice: &str, names: &[&str]) -> String {
    names.iter().map(|name| format!("`{}`", header(&join(choice, name)))).collect::<Vec<_>>().join(", ")
}

/// A second table of a choice.
pub(crate) fn second_choice(choice: &str, first: &str, second: &str, node: &Node) -> Problem {
    let (first, second_header) = (header(&join(choice, first)), header(&join(choice, second)));
    Problem {
        key: join(choice, second),
        message: format!("{second_header} stands beside {first}, but exactly one may be chosen"),
        label: format!("the second {}", header(&join(choice, "…"))),
        help: vec![format!("remove {second_header} or {first}")],
        origin: node.origin,
        span: node.key_span.clone(),
    }
}

/// What to write to choose one of the tables: in the file, or by the option that set the value.
fn choosing(schema: &Schema, choice: &str, names: &[&str], option: Option<&str>) -> String {
    let Some(option) = option else { return format!("write exactly one of {}", tables(choice, names)) };
    let example = names.first().map(|name| example(schema, &join(choice, name))).unwrap_or_default();
    let names = names.join(", ");
    format!("write `{option} {choice}=NAME`, or a key of one, as in `{option} {example}`; NAME is one of {names}")
}

/// A key of a table with a value that it could have, as an option would set it: `model.transformer.layers=2`.
fn example(schema: &Schema, table: &str) -> String {
    let Some(Kind::Table(keys)) = schema.get(table).map(|entry| &entry.kind) else { return format!("{table}=VALUE") };
    keys.first().map_or_else(|| format!("{table}={{}}"), |key| example_of(schema, &join(table, key)))
}

fn example_of(schema: &Schema, key: &str) -> String {
    let value = match schema.get(key).map(|entry| &entry.kind) {
        Some(Kind::Whole { .. }) => "2",
        Some(Kind::Number) => "0.01",
        Some(Kind::Flag) => "true",
        Some(Kind::Word(words)) => words.first().copied().unwrap_or("WORD"),
        Some(Kind::Table(_)) => return example(schema, key),
        _ => "VALUE",
    };
    format!("{key}={value}")
}

/// A choice that says nothing.
pub(crate) fn empty_choice(
    schema: &Schema,
    choice: &str,
    node: &Node,
    names: &[&str],
    option: Option<&str>,
) -> Problem {
    Problem {
        key: choice.to_owned(),
        message: format!("{} chooses nothing", header(choice)),
        label: "empty".into(),
        help: vec![choosing(schema, choice, names, option)],
        origin: node.origin,
        span: node.key_span.clone(),
    }
}

/// A word that is none of those allowed.
pub(crate) fn unknown_word(
    schema: &Schema,
    path: &str,
    word: &str,
    node: &Node,
    words: &[&str],
    meant: Option<&str>,
    option: Option<&str>,
) -> Problem {
    let (origin, span) = node.place();
    if let Some(Kind::Choice(names)) = schema.get(path).map(|entry| &entry.kind) {
        let message = match option {
            Some(_) => format!("there is no `{path}` named \"{word}\""),
            None => format!("`{path}` must be a table, is the word \"{word}\""),
        };
        let meant = meant.zip(option).map(|(meant, option)| format!("did you mean `{option} {path}={meant}`?"));
        let help = meant.into_iter().chain([choosing(schema, path, names, option)]).collect();
        return Problem { key: path.to_owned(), message, label: "a word".into(), help, origin, span };
    }
    let mut help: Vec<String> = meant.map(|meant| format!("did you mean \"{meant}\"?")).into_iter().collect();
    help.push(format!("`{path}` is one of {}", listed(words, "\"")));
    let message = format!("`{path}` cannot be \"{word}\"");
    Problem { key: path.to_owned(), message, label: "not one of the choices".into(), help, origin, span }
}

/// A value of the wrong type.
pub(crate) fn wrong_type(schema: &Schema, path: &str, node: &Node, expected: &str, option: Option<&str>) -> Problem {
    let (origin, span) = node.place();
    let is = match &node.value {
        Value::Whole(number) => number.to_string(),
        Value::Number(number) if number.is_finite() => format!("{number:?}"),
        Value::Number(number) if number.is_nan() => "not a number".to_owned(),
        Value::Number(_) => "too large".to_owned(),
        Value::Text(text) => format!("the text \"{}\"", shortened(text)),
        Value::Flag(flag) => flag.to_string(),
        Value::List(items) => format!("a list of {}", items.len()),
        other => other.description().to_owned(),
    };
    let message = format!("`{path}` must be {expected}, is {is}");
    let help = corrections(schema, path, node, option).into_iter().collect();
    Problem { key: path.to_owned(), message, label: format!("expected {expected}"), help, origin, span }
}

fn shortened(text: &str) -> String {
    let start: String = text.chars().take(40).collect();
    if start.len() == text.len() { start } else { format!("{start}…") }
}

/// The line to write, or what to set by the option, where the value shows what was meant.
fn corrections(schema: &Schema, path: &str, node: &Node, option: Option<&str>) -> Option<String> {
    let entry = schema.get(path)?;
    let key = path.rsplit('.').next().unwrap_or(path);
    let write = |value: String| match option {
        _ if key.ends_with(']') => format!("write `{value}`"),
        Some(option) => format!("write `{option} {path}={value}`"),
        None => format!("write `{key} = {value}`"),
    };
    match (&entry.kind, &node.value) {
        (Kind::Whole { .. }, Value::Text(text)) if text.parse::<u64>().is_ok() => Some(write(text.clone())),
        (Kind::Number, Value::Text(text)) if text.parse::<f64>().is_ok_and(f64::is_finite) => Some(write(text.clone())),
        (Kind::Whole { .. }, Value::Number(number)) if number.fract() == 0.0 && number.abs() < 1e15 => {
            Some(write(format!("{number:.0}")))
        }
        (Kind::Whole { .. } | Kind::Number, Value::Whole(number)) if *number < 0 && entry.optional => {
            Some(format!("leave `{key}` out to do without it"))
        }
        (Kind::Text | Kind::Word(_), Value::Whole(number)) => Some(write(format!("\"{number}\""))),
        (Kind::Text, Value::Number(number)) => Some(write(format!("\"{number}\""))),
        (Kind::Flag, _) => Some(write("true".into()) + " or `false`"),
        (Kind::List, Value::Text(text)) => Some(write(format!("[\"{}\"]", shortened(text)))),
        (Kind::Choice(names), _) => Some(choosing(schema, path, names, option)),
        (Kind::Table(_), _) if let Some(option) = option => Some(format!("write `{option} {}`", example(schema, path))),
        (Kind::Table(_), _) => Some(format!("write `{}` and its keys under it", header(path))),
        _ => None,
    }
}

/// A key or section that has to be there, in the table at `place`.
pub(crate) fn missing(
    place: &Node,
    schema: &Schema,
    table: &str,
    key: &str,
    needed: &[&str],
    option: Option<&str>,
) -> Problem {
    let path = join(table, key);
    let (origin, span) = place.place();
    let kind = schema.get(&path).map(|entry| &entry.kind);
    let (message, help) = match kind {
        Some(Kind::Choice(names)) => {
            (format!("section {} is missing", header(&path)), choosing(schema, &path, names, option))
        }
        Some(Kind::Table(keys)) if needed.is_empty() => {
            let inner = inner_tables(schema, &path, keys);
            let help = if inner.is_empty() {
                format!("write `{}`", header(&path))
            } else {
                format!("write one of {}", tables(&path, &inner))
            };
            (format!("section {} is missing", header(&path)), help)
        }
        Some(Kind::Table(_)) => {
            let (header, needed) = (header(&path), listed(needed, "`"));
            (format!("section {header} is missing"), format!("write `{header}` with {needed}"))
        }
        Some(Kind::List) if let Some(Kind::Table(keys)) = schema.get(&format!("{path}[]")).map(|entry| &entry.kind) => {
            let keys = listed(keys, "`");
            (format!("there is no [[{path}]]"), format!("write `[[{path}]]` once or more, with {keys}"))
        }
        other => {
            let what = other.map_or_else(|| "a value".to_owned(), Kind::description);
            let help = match option {
                Some(option) => format!("set it too, as in `{option} {}`: {what}", example_of(schema, &path)),
                None => format!("write `{key} = …`, {what}"),
            };
            (format!("`{key}` is missing in {}", place_name(table)), help)
        }
    };
    Problem { key: path, message, label: format!("`{key}` is missing"), help: vec![help], origin, span }
}

/// The keys of a table that are tables themselves.
fn inner_tables<'a>(schema: &Schema, table: &str, keys: &[&'a str]) -> Vec<&'a str> {
    let is_table = |key: &&&str| matches!(schema.get(&join(table, key)).map(|entry| &entry.kind), Some(Kind::Table(_)));
    keys.iter().filter(is_table).copied().collect()
}

fn place_name(table: &str) -> String {
    if table.is_empty() { "the file".into() } else { header(table) }
}

/// A value that a type's own rule refuses.
pub(crate) fn refused(place: &Node, path: &str, message: &str) -> Problem {
    let (origin, span) = place.place();
    let message = if path.is_empty() { message.to_owned() } else { format!("`{path}`: {message}") };
    Problem { key: path.to_owned(), message, label: String::new(), help: Vec::new(), origin, span }
}

/// A value that breaks a rule, or the table where a default breaks it.
pub(crate) fn violation(place: &Node, violation: Violation) -> Problem {
    let (origin, span) = place.place();
    let label = match place.value {
        Value::Table(_) => "in this table",
        _ => "",
    };
    let message = format!("`{}` {}", violation.key, violation.message);
    let help = violation.help.into_iter().collect();
    Problem { key: violation.key, message, label: label.into(), help, origin, span }
}
