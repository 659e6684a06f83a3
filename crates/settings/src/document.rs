//! The file as a tree in which every value still knows where it was written.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::hints::{Hints, Replaced};
use super::problem::{Origin, Override, Problem, Source};
use super::schema::{Schema, join};
use super::setting::Setting;

/// A value and its place.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) origin: Origin,
    /// Bytes of the value; for a table with a header, of the header.
    pub(crate) span: Range<usize>,
    /// Bytes of the key that holds it.
    pub(crate) key_span: Range<usize>,
    /// An overriding value as it was typed, which is what counts where text is wanted.
    pub(crate) typed: Option<String>,
}

/// What TOML can hold.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Text(String),
    Whole(i128),
    Number(f64),
    Flag(bool),
    Date,
    List(Vec<Node>),
    /// In the order of the file.
    Table(Vec<(String, Node)>),
}

impl Value {
    /// The value's type in words.
    pub(crate) fn description(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Whole(_) => "a whole number",
            Self::Number(_) => "a number with a fraction",
            Self::Flag(_) => "true or false",
            Self::Date => "a date",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

impl Value {
    /// The value in a form of TOML.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Text(text) => format!("{text:?}"),
            Self::Whole(number) => number.to_string(),
            Self::Number(number) => format!("{number:?}"),
            Self::Flag(flag) => flag.to_string(),
            Self::Date => self.description().to_owned(),
            Self::List(items) => {
                let words: Vec<String> = items.iter().map(|item| item.value.words()).collect();
                format!("[{}]", words.join(", "))
            }
            Self::Table(entries) => {
                let words: Vec<String> =
                    entries.iter().map(|(key, node)| format!("{key} = {}", node.value.words())).collect();
                format!("{{ {} }}", words.join(", "))
            }
        }
    }
}

impl Node {
    /// The entry `key` of a table.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        match &self.value {
            Value::Table(entries) => entries.iter().find(|(name, _)| name == key).map(|(_, node)| node),
            _ => None,
        }
    }

    /// Where to point for this node: at the header of a table, at the value of anything else.
    pub(crate) fn place(&self) -> (Origin, Range<usize>) {
        let span = match self.value {
            Value::Table(_) => &self.key_span,
            _ => &self.span,
        };
        (self.origin, span.clone())
    }

    /// Makes all that is in it stand at one place.
    pub(crate) fn move_to(&mut self, span: &Range<usize>) {
        self.span = span.clone();
        self.key_span = span.clone();
        match &mut self.value {
            Value::List(items) => items.iter_mut().for_each(|item| item.move_to(span)),
            Value::Table(entries) => entries.iter_mut().for_each(|(_, node)| node.move_to(span)),
            _ => {}
        }
    }

    pub(crate) fn entry(&mut self, key: &str) -> Option<&mut Self> {
        match &mut self.value {
            Value::Table(entries) => entries.iter_mut().find(|(name, _)| name == key).map(|(_, node)| node),
            _ => None,
        }
    }
}

/// Where the file has `key` at its root; `None` if it doesn't, or isn't TOML.
pub fn key_span(source: &Source, key: &str) -> Option<Range<usize>> {
    Some(parse(source).ok()?.get(key)?.key_span.clone())
}

/// Parses the file; every syntax error that the parser can recover from is in the list.
pub(crate) fn parse(source: &Source) -> Result<Node, Vec<Problem>> {
    let (table, errors) = DeTable::parse_recoverable(&source.text);
    if errors.is_empty() {
        let end = source.text.trim_end().len();
        let value = from_table(table.get_ref(), Origin::File, 0);
        return Ok(Node { value, origin: Origin::File, span: end..end, key_span: end..end, typed: None });
    }
    let mut problems: Vec<Problem> = Vec::new();
    let mut before: Option<usize> = None;
    for error in &errors {
        let span = error.span().unwrap_or(0..0);
        // What stands after a broken place on the same line is mostly a consequence of it.
        if before.is_none_or(|before| has_line_end(&source.text, before, span.start)) {
            problems.push(syntax_problem(error.message(), span.clone()));
        }
        before = Some(span.start);
    }
    Err(problems)
}

fn syntax_problem(message: &str, span: Range<usize>) -> Problem {
    let (message, label) = message.split_once(", expected ").unwrap_or((message, ""));
    let label = if label.is_empty() { String::new() } else { format!("expected {label}") };
    let mut help = Vec::new();
    if message.contains("quoted") {
        help.push("text stands in quotes, as in `name = \"value\"`".to_owned());
    }
    if message.contains("duplicate key") {
        help.push("keep one of the two".to_owned());
    }
    let message = format!("this is not TOML: {message}");
    Problem { key: String::new(), message, label, help, origin: Origin::File, span }
}

/// Whether a line ends between two bytes. Only what is between them is looked at: a line may hold nothing but mistakes,
/// as many of them as bytes.
fn has_line_end(text: &str, one: usize, other: usize) -> bool {
    text.as_bytes().get(one.min(other)..one.max(other)).is_some_and(|between| between.contains(&b'\n'))
}

/// Overrides that are put into a tree.
pub(crate) struct Overriding<'a> {
    pub(crate) schema: &'a Schema,
    pub(crate) hints: &'a Hints<'a>,
    /// The tables of the file that made room.
    pub(crate) replaced: Vec<Replaced>,
}

impl<'a> Overriding<'a> {
    pub(crate) fn new(schema: &'a Schema, hints: &'a Hints<'a>) -> Self {
        Self { schema, hints, replaced: Vec::new() }
    }

    /// Puts the overrides into the tree, later ones over earlier ones. One that is in another table of a choice than
    /// the file chose replaces that.
    pub(crate) fn apply(&mut self, root: &mut Node, overrides: &[Override]) -> Vec<Problem> {
        let apply = |(index, set)| self.set(root, &Setting::of_override(set, index)).err();
        overrides.iter().enumerate().filter_map(apply).collect()
    }

    /// Puts one value into the tree.
    pub(crate) fn set(&mut self, root: &mut Node, set: &Setting) -> Result<(), Problem> {
        let key: Vec<&str> = set.key.split('.').map(str::trim).collect();
        let word = match &set.value.value {
            Value::Text(word) => word.as_str(),
            _ => "",
        };
        let is_choice = self.hints.choice(self.schema, &key.join(".")).contains(&word);
        // A choice that is set to the name of a table means that table, as the file has it or without keys.
        let parts = if is_choice { [&key[..], &[word]].concat() } else { key };
        let (mut table, mut path) = (&mut *root, String::new());
        for part in &parts {
            self.make_room(table, &path, part, set.value.origin);
            path = join(&path, part);
            let Some(entry) = table.entry(part) else { break };
            table = entry;
        }
        if !is_choice {
            return set_value(root, set, &parts, set.value.clone());
        }
        if root_has(root, &parts) {
            return Ok(());
        }
        set_value(root, set, &parts, Node { value: Value::Table(Vec::new()), ..set.value.clone() })
    }

    /// Puts all that is in a table over what is in the tree.
    pub(crate) fn put(&mut self, root: &mut Node, over: &Node) {
        self.put_at(root, over, "");
    }

    fn put_at(&mut self, table: &mut Node, over: &Node, path: &str) {
        let Value::Table(entries) = &over.value else { return };
        for (key, node) in entries {
            self.make_room(table, path, key, node.origin);
            match table.entry(key) {
                Some(below) if is_table(below) && is_table(node) => self.put_at(below, node, &join(path, key)),
                _ => insert(table, key, node.clone()),
            }
        }
    }

    /// Removes from a table of the file what excludes `key`. What another override set stays: two that contradict each
    /// other are a mistake.
    fn make_room(&mut self, table: &mut Node, path: &str, key: &str, origin: Origin) {
        let names = self.hints.choice(self.schema, path);
        let Value::Table(entries) = &mut table.value else { return };
        if names.contains(&key) {
            let is_excluded = |(name, node): &(String, Node)| {
                name != key && names.contains(&name.as_str()) && node.origin == Origin::File
            };
            for (name, _) in entries.extract_if(.., |entry| is_excluded(entry)) {
                if let Origin::Override(by) = origin {
                    self.replaced.push(Replaced { table: join(path, &name), by });
                }
            }
        }
    }
}

fn is_table(node: &Node) -> bool {
    matches!(node.value, Value::Table(_))
}

fn root_has(root: &Node, parts: &[&str]) -> bool {
    parts.iter().try_fold(root, |node, part| node.get(part)).is_some()
}

fn set_value(root: &mut Node, set: &Setting, parts: &[&str], value: Node) -> Result<(), Problem> {
    let (key_span, origin) = (value.key_span.clone(), value.origin);
    let Some((last, parts)) = parts.split_last() else { return Ok(()) };
    let mut table = root;
    for (depth, part) in parts.iter().enumerate() {
        if table.entry(part).is_none() {
            let node = Node {
                value: Value::Table(Vec::new()),
                origin,
                span: key_span.clone(),
                key_span: key_span.clone(),
                typed: None,
            };
            insert(table, part, node);
        }
        table = match table.entry(part) {
            Some(entry) if is_table(entry) => entry,
            _ => {
                let parent = parts[..=depth].join(".");
                return Err(Problem {
                    key: set.key.clone(),
                    message: format!("`{}` cannot be set: `{parent}` is a value, not a table", set.key),
                    label: "leads through a value".into(),
                    help: vec![format!("write `{}{parent}=VALUE`", set.option)],
                    origin,
                    span: key_span,
                });
            }
        };
    }
    insert(table, last, value);
    Ok(())
}

fn insert(table: &mut Node, key: &str, node: Node) {
    match table.entry(key) {
        Some(entry) => *entry = node,
        None => {
            if let Value::Table(entries) = &mut table.value {
                entries.push((key.to_owned(), node));
            }
        }
    }
}

/// The value that a text of an override stands for, which begins at `start` of its text.
pub(crate) fn typed_value(text: &str, origin: Origin, start: usize, key_span: Range<usize>) -> Node {
    let value = match DeValue::parse(text) {
        Ok(value) => from_value(value.get_ref(), origin, start),
        Err(_) => Value::Text(text.to_owned()),
    };
    let typed = (!matches!(value, Value::Text(_) | Value::List(_) | Value::Table(_))).then(|| text.to_owned());
    Node { value, origin, span: start..start + text.len(), key_span, typed }
}

fn from_table(table: &DeTable<'_>, origin: Origin, offset: usize) -> Value {
    let mut entries: Vec<(String, Node)> = table
        .iter()
        .map(|(key, value)| {
            let node = from_spanned(value, origin, offset, moved(key.span(), offset));
            (key.get_ref().to_string(), node)
        })
        .collect();
    entries.sort_by_key(|(_, node)| node.key_span.start);
    Value::Table(entries)
}

fn from_spanned(value: &toml::Spanned<DeValue<'_>>, origin: Origin, offset: usize, key_span: Range<usize>) -> Node {
    let span = moved(value.span(), offset);
    Node { value: from_value(value.get_ref(), origin, offset), origin, span, key_span, typed: None }
}

fn from_value(value: &DeValue<'_>, origin: Origin, offset: usize) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        // The parser has checked the digits, so only the size can fail; a size that no integer holds is a number too
        // large.
        DeValue::Integer(integer) => i128::from_str_radix(integer.as_str(), integer.radix())
            .map_or_else(|_| Value::Number(integer.as_str().parse().unwrap_or(f64::INFINITY)), Value::Whole),
        DeValue::Float(float) => Value::Number(float.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(flag) => Value::Flag(*flag),
        DeValue::Datetime(_) => Value::Date,
        DeValue::Array(items) => {
            let item =
                |item: &toml::Spanned<DeValue<'_>>| from_spanned(item, origin, offset, moved(item.span(), offset));
            Value::List(items.iter().map(item).collect())
        }
        DeValue::Table(table) => from_table(table, origin, offset),
    }
}

fn moved(span: Range<usize>, offset: usize) -> Range<usize> {
    span.start + offset..span.end + offset
}
