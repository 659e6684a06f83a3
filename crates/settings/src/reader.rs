//! Making a typed value from the tree, noting every mistake instead of the first.
//!
//! A derived `Deserialize` gives up at its first error. This deserializer therefore never lets it see one that can be
//! noted here: a value of the wrong type is noted and a dummy value is handed on, an unknown key is noted and read as
//! the key it was meant to be, a second table of a choice is noted and left out. Only a missing key surfaces as a
//! failure of the type; it is noted, filled with a dummy, and the reading starts again.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;

use super::document::{Node, Value};
use super::holes::Holes;
use super::mistakes;
use super::problem::{Origin, Override, Problem};
use super::schema::{Kind, Schema, join};

/// The largest integer that TOML has. A larger one can be read, but not written again.
const LARGEST: i128 = i64::MAX as i128;

/// More mistakes than are reported; a list of a hundred thousand wrong items has as many.
const MOST_NOTED: usize = 1000;

/// What came of reading.
pub(crate) struct Outcome<T> {
    /// The value, with dummies in the places of [`Self::broken`]; none when even dummies did not satisfy the type.
    pub(crate) value: Option<T>,
    pub(crate) problems: Vec<Problem>,
    /// Paths whose value is not what the user meant.
    pub(crate) broken: BTreeSet<String>,
    pub(crate) renamed: Renamed,
}

/// The path that a mistyped key was read as, with the key in the file.
#[derive(Debug, Default)]
pub(crate) struct Renamed(BTreeMap<String, String>);

impl Renamed {
    /// The node at `path`, or the deepest one on the way to it.
    pub(crate) fn nearest<'a>(&self, root: &'a Node, path: &str) -> &'a Node {
        let mut node = root;
        let mut walked = String::new();
        for part in path.split('.') {
            let mut pieces = part.split('[');
            let key = pieces.next().unwrap_or(part);
            walked = join(&walked, key);
            let key = self.0.get(&walked).map_or(key, String::as_str);
            let Some(next) = node.get(key) else { return node };
            node = next;
            for index in pieces {
                let item = match (&node.value, index.trim_end_matches(']').parse::<usize>()) {
                    (Value::List(items), Ok(index)) => items.get(index),
                    _ => None,
                };
                let Some(item) = item else { return node };
                node = item;
            }
        }
        node
    }
}

/// Reads a `T` out of the tree.
pub(crate) fn read<T: DeserializeOwned>(
    root: &Node,
    overrides: &[Override],
    schema: &Schema,
    word: fn(&str) -> Option<String>,
) -> Outcome<T> {
    let mut holes = Holes::default();
    loop {
        let notes = RefCell::new(Notes::default());
        let (node, path) = (Some(root), String::new());
        let reader = Reader { node, path, overrides, schema, word, holes: &holes, notes: &notes };
        let failure = match T::deserialize(reader) {
            Ok(value) => return finish(Some(value), notes.into_inner(), &holes, root, overrides, schema),
            Err(failure) => failure,
        };
        if !holes.fill(failure) {
            return finish(None, notes.into_inner(), &holes, root, overrides, schema);
        }
    }
}

fn finish<T>(
    value: Option<T>,
    notes: Notes,
    holes: &Holes,
    root: &Node,
    overrides: &[Override],
    schema: &Schema,
) -> Outcome<T> {
    let Notes { mut problems, mut broken, renamed } = notes;
    for (path, key) in holes.missing_in_file(&broken) {
        let place = renamed.nearest(root, &path);
        let needed = holes.keys_needed_under(&join(&path, key));
        problems.push(mistakes::missing(place, schema, &path, key, &needed, option_of(place, overrides)));
    }
    for (path, message) in &holes.refused {
        if !broken.contains(path) {
            problems.push(mistakes::refused(renamed.nearest(root, path), path, message));
        }
    }
    broken.extend(holes.missing.iter().map(|(path, key)| join(path, key)));
    broken.extend(holes.refused.keys().cloned());
    Outcome { value, problems, broken, renamed }
}

/// What set a value, for example `--set`; nothing where the file has it.
fn option_of<'a>(node: &Node, overrides: &'a [Override]) -> Option<&'a str> {
    match node.origin {
        Origin::File => None,
        Origin::Override(index) => overrides.get(index).map(|set| set.name.as_str()),
    }
}

/// What one pass found.
#[derive(Debug, Default)]
struct Notes {
    problems: Vec<Problem>,
    broken: BTreeSet<String>,
    renamed: Renamed,
}

/// The deserializer of one place in the tree; without a node it gives dummy values.
#[derive(Clone)]
pub(crate) struct Reader<'a> {
    pub(crate) node: Option<&'a Node>,
    pub(crate) path: String,
    overrides: &'a [Override],
    pub(crate) schema: &'a Schema,
    /// What to say of the words of other programs.
    word: fn(&str) -> Option<String>,
    holes: &'a Holes,
    notes: &'a RefCell<Notes>,
}

impl<'a> Reader<'a> {
    pub(crate) fn child(&self, path: String, node: Option<&'a Node>) -> Self {
        let node = node.filter(|_| !self.holes.refused.contains_key(&path));
        Self { node, path, ..self.clone() }
    }

    pub(crate) fn value(&self) -> Option<&'a Value> {
        self.node.map(|node| &node.value)
    }

    fn note(&self, problem: Problem) {
        let problems = &mut self.notes.borrow_mut().problems;
        if problems.len() < MOST_NOTED {
            problems.push(problem);
        }
    }

    /// Notes that the value has the wrong type, unless there is no value.
    pub(crate) fn wrong_type(&self, expected: &str) {
        if let Some(node) = self.node {
            let option = option_of(node, self.overrides);
            self.note(mistakes::wrong_type(self.schema, &self.path, node, expected, option));
            self.notes.borrow_mut().broken.insert(self.path.clone());
        }
    }

    /// A whole number between the bounds of its type, or the dummy 1.
    pub(crate) fn whole(&self, least: i128, most: i128) -> i128 {
        match self.value() {
            Some(Value::Whole(number)) if *number > LARGEST && most > LARGEST => {
                self.dummy(&format!("a whole number up to {LARGEST}"), 1)
            }
            Some(Value::Whole(number)) if (least..=most).contains(number) => *number,
            Some(Value::Whole(_)) if least == 0 && most > i128::from(u32::MAX) => {
                self.dummy("a whole number, 0 or more", 1)
            }
            Some(Value::Whole(_)) => self.dummy(&format!("a whole number from {least} to {most}"), 1),
            _ => self.dummy("a whole number", 1),
        }
    }

    pub(crate) fn number(&self) -> f64 {
        match self.value() {
            Some(Value::Number(number)) if number.is_finite() => *number,
            Some(Value::Number(_)) => self.dummy("a finite number", 1.0),
            #[expect(
                clippy::cast_precision_loss,
                reason = "a whole number beyond 2^53 is rounded, as TOML's own floats are"
            )]
            Some(Value::Whole(number)) => *number as f64,
            _ => self.dummy("a number", 1.0),
        }
    }

    pub(crate) fn dummy<T>(&self, expected: &str, value: T) -> T {
        self.wrong_type(expected);
        value
    }

    /// The text here; a number or flag typed on the command line counts as typed.
    pub(crate) fn text(&self) -> String {
        match self.node {
            Some(Node { value: Value::Text(text), .. }) => text.clone(),
            Some(Node { typed: Some(typed), .. }) => typed.clone(),
            _ => self.dummy("text in quotes", String::new()),
        }
    }

    pub(crate) fn items(&self) -> Vec<Self> {
        let item = |(index, node)| self.child(format!("{}[{index}]", self.path), Some(node));
        match self.value() {
            Some(Value::List(items)) => items.iter().enumerate().map(item).collect(),
            _ if let Some(node) = self.lone_text() => vec![item((0, node))],
            _ => self.dummy("a list", Vec::new()),
        }
    }

    /// A text that an override gives where a list of texts is expected: on a command line, brackets and quotes are a
    /// nuisance.
    fn lone_text(&self) -> Option<&'a Node> {
        let takes_texts = || {
            let item = self.schema.get(&format!("{}[]", self.path));
            item.is_some_and(|entry| entry.kind == Kind::Text)
        };
        let is_text = |node: &Node| matches!(node.value, Value::Text(_)) || node.typed.is_some();
        self.node.filter(|node| matches!(node.origin, Origin::Override(_)) && is_text(node) && takes_texts())
    }

    /// The entries of a table that has these fields: each known key, each unknown one under the name it was meant to
    /// have, and each key that the type has already missed.
    pub(crate) fn fields(&self, fields: &'static [&'static str]) -> Vec<(String, Self)> {
        let mut entries: Vec<(String, Self)> = Vec::new();
        match self.value() {
            Some(Value::Table(table)) => {
                for (key, node) in table {
                    if let Some(key) = self.known(key, node, fields, table) {
                        entries.push((key.to_owned(), self.child(join(&self.path, key), Some(node))));
                    }
                }
            }
            _ => self.wrong_type("a table"),
        }
        for key in self.holes.missing_keys(&self.path) {
            entries.push((key.to_owned(), self.child(join(&self.path, key), None)));
        }
        entries
    }

    /// The key, or for an unknown one (which is noted) the free key that was probably meant.
    fn known(
        &self,
        key: &str,
        node: &Node,
        known: &'static [&'static str],
        table: &[(String, Node)],
    ) -> Option<&'static str> {
        if let Some(known) = known.iter().find(|known| **known == key) {
            return Some(known);
        }
        let meant = super::suggestion::nearest(key, known);
        self.note(mistakes::unknown_key(self.schema, &self.path, key, node, known, meant, (self.word)(key)));
        let is_free = |meant: &&str| table.iter().all(|(other, _)| other != meant);
        let was_read = |meant: &&str| self.notes.borrow().renamed.0.contains_key(&join(&self.path, meant));
        let meant = meant.filter(is_free).filter(|meant| !was_read(meant))?;
        self.notes.borrow_mut().renamed.0.insert(join(&self.path, meant), key.to_owned());
        Some(meant)
    }

    /// The one table of a choice.
    pub(crate) fn chosen(
        &self,
        variants: &'static [&'static str],
        table: &'a [(String, Node)],
    ) -> Option<(&'static str, Self)> {
        let mut chosen: Option<(&'static str, &Node)> = None;
        for (key, node) in table {
            let Some(variant) = self.known(key, node, variants, table) else { continue };
            match chosen {
                None => chosen = Some((variant, node)),
                Some((first, _)) => {
                    self.note(mistakes::second_choice(&self.path, first, key, node));
                    self.notes.borrow_mut().broken.insert(self.path.clone());
                }
            }
        }
        if chosen.is_none() {
            self.notes.borrow_mut().broken.insert(self.path.clone());
            if let (true, Some(node)) = (table.is_empty(), self.node) {
                let option = option_of(node, self.overrides);
                self.note(mistakes::empty_choice(self.schema, &self.path, node, variants, option));
            }
        }
        chosen.map(|(variant, node)| (variant, self.child(join(&self.path, variant), Some(node))))
    }

    /// The one word of a choice.
    pub(crate) fn word(&self, variants: &'static [&'static str], word: &str, node: &Node) -> Option<&'static str> {
        if let Some(variant) = variants.iter().find(|variant| **variant == word) {
            return Some(variant);
        }
        let meant = super::suggestion::nearest(word, variants);
        let option = option_of(node, self.overrides);
        self.note(mistakes::unknown_word(self.schema, &self.path, word, node, variants, meant, option));
        self.notes.borrow_mut().broken.insert(self.path.clone());
        // In the place of a table the word that was meant would be a mistake, too.
        let is_table = matches!(self.schema.get(&self.path).map(|entry| &entry.kind), Some(Kind::Choice(_)));
        meant.filter(|_| !is_table)
    }
}
