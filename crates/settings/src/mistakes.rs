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
/// of a list
/// of tables.
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

/// A choice that says nothing.
pub(crate) fn empty_choice(choice: &str, node: &Node, names: &[&str]) -> Problem {
    Problem {
        key: choice.to_owned(),
        message: format!("{} chooses nothing", header(choice)),
        label: "empty".into(),
        help: vec![format!("write exactly one of {}", tables(choice, names))],
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
) -> Problem {
    let (origin, span) = node.place();
    if let Some(Kind::Choice(names)) = schema.get(path).map(|entry| &entry.kind) {
        let message = format!("`{path}` must be a table, is the word \"{word}\"");
        let help = vec![format!("write exactly one of {}", tables(path, names))];
        return Problem { key: path.to_owned(), message, label: "a word".into(), help, origin, span };
    }
    let mut help: Vec<String> = meant.map(|meant| format!("did you mean \"{meant}\"?")).into_iter().collect();
    help.push(format!("`{path}` is one of {}", listed(words, "\"")));
    let message = format!("`{path}` cannot be \"{word}\"");
    Problem { key: path.to_owned(), message, label: "not one of the choices".into(), help, origin, span }
}

/// A value of the wrong type.
pub(crate) fn wrong_type(schema: &Schema, path: &str, node: &Node, expected: &str) -> Problem {
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
    let help = corrections(schema, path, node).into_iter().collect();
    Problem { key: path.to_owned(), message, label: format!("expected {expected}"), help, origin, span }
}

fn shortened(text: &str) -> String {
    let start: String = text.chars().take(40).collect();
    if start.len() == text.len() { start } else { format!("{start}…") }
}

/// The line to write, where the value shows what was meant.
fn corrections(schema: &Schema, path: &str, node: &Node) -> Option<String> {
    let entry = schema.get(path)?;
    let key = path.rsplit('.').next().unwrap_or(path);
    let write = |value: String| {
        if key.ends_with(']') { format!("write `{value}`") } else { format!("write `{key} = {value}`") }
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
        (Kind::Flag, _) => Some(format!("write `{key} = true` or `{key} = false`")),
        (Kind::List, Value::Text(text)) => Some(write(format!("[\"{}\"]", shortened(text)))),
        (Kind::Choice(names), _) => Some(format!("write exactly one of {}", tables(path, names))),
        (Kind::Table(_), _) => Some(format!("write `{}` and its keys under it", header(path))),
        _ => None,
    }
}

/// A key or section that has to be there, in the table at `place`.
pub(crate) fn missing(place: &Node, schema: &Schema, table: &str, key: &str, needed: &[&str]) -> Problem {
    let path = join(table, key);
    let (origin, span) = place.place();
    let kind = schema.get(&path).map(|entry| &entry.kind);
    let (message, help) = match kind {
        Some(Kind::Choice(names)) => {
            (format!("section {} is missing", header(&path)), format!("write exactly one of {}", tables(&path, names)))
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
            (format!("`{key}` is missing in {}", place_name(table)), format!("write `{key} = …`, {what}"))
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
