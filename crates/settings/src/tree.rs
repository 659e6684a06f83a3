//! A file that is taken apart and put together again before it is read: one that holds several configurations.

use serde::de::DeserializeOwned;

use super::checked::read_tree;
use super::document::{self, Node, Overriding, Value};
use super::hints::Hints;
use super::problem::{ConfigErrors, Override, Problem, Source};
use super::schema::{Schema, join};
use super::setting::Setting;
use crate::Violation;

/// A file, or a value in it, as a tree in which every value knows where it was written.
#[derive(Debug, Clone)]
pub struct Tree {
    source: Source,
    overrides: Vec<Override>,
    root: Node,
}

impl Tree {
    /// The tree of a file. The overrides are not put into it; problems of settings that come from them point into
    /// their texts.
    ///
    /// # Errors
    /// When the file isn't TOML.
    pub fn parse(source: &Source, overrides: &[Override]) -> Result<Self, ConfigErrors> {
        let root = document::parse(source).map_err(|problems| ConfigErrors::new(source, overrides, problems))?;
        Ok(Self { source: source.clone(), overrides: overrides.to_vec(), root })
    }

    fn with_root(&self, root: Node) -> Self {
        Self { root, source: self.source.clone(), overrides: self.overrides.clone() }
    }

    /// Takes the entry of a dotted key out of this table.
    pub fn take(&mut self, key: &str) -> Option<Self> {
        let (tables, last) = key.rsplit_once('.').map_or(("", key), |(tables, last)| (tables, last));
        let names = tables.split('.').filter(|name| !name.is_empty());
        let table = names.into_iter().try_fold(&mut self.root, |table, name| table.entry(name))?;
        let Value::Table(entries) = &mut table.value else { return None };
        let index = entries.iter().position(|(name, _)| name == last)?;
        let (_, node) = entries.remove(index);
        Some(self.with_root(node))
    }

    /// Moves the entries of these keys into a table of their own.
    pub fn split(&mut self, keys: &[&str]) -> Self {
        let Value::Table(entries) = &mut self.root.value else { return self.clone() };
        let taken = entries.extract_if(.., |(name, _)| keys.contains(&name.as_str())).collect();
        self.with_root(Node { value: Value::Table(taken), ..self.root.clone() })
    }

    /// The items, if this is a list.
    pub fn items(&self) -> Option<Vec<Self>> {
        let Value::List(items) = &self.root.value else { return None };
        Some(items.iter().map(|item| self.with_root(item.clone())).collect())
    }

    /// The text, if this is one.
    pub fn text(&self) -> Option<&str> {
        match &self.root.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Whether this is a table.
    pub fn is_table(&self) -> bool {
        matches!(self.root.value, Value::Table(_))
    }

    /// Every value below this table by its dotted key. A table without entries counts as a value.
    pub fn settings(&self) -> Vec<Setting> {
        let mut found = Vec::new();
        collect("", &self.root, &mut found);
        found
    }

    /// Puts the entries of another table over those of this one. A table of a choice replaces that of another.
    pub fn put(&mut self, over: &Self, schema: &Schema, hints: &Hints<'_>) {
        Overriding::new(schema, hints).put(&mut self.root, &over.root);
    }

    /// Sets a key. A table of a choice replaces that of another.
    ///
    /// # Errors
    /// When the key leads through a value.
    pub fn set(&mut self, setting: &Setting, schema: &Schema, hints: &Hints<'_>) -> Result<(), ConfigErrors> {
        let done = Overriding::new(schema, hints).set(&mut self.root, setting);
        done.map_err(|problem| self.errors(vec![problem]))
    }

    /// Reads a value, as [`read_with`](super::read_with) does.
    ///
    /// # Errors
    /// All problems, in order.
    pub fn read<T: DeserializeOwned>(
        &self,
        schema: &Schema,
        hints: &Hints<'_>,
        validate: impl FnOnce(&T) -> Vec<Violation>,
    ) -> Result<T, ConfigErrors> {
        read_tree(&self.root, &self.overrides, schema, hints, validate).map_err(|problems| self.errors(problems))
    }

    /// A problem of this value.
    pub fn problem(&self, key: &str, message: impl Into<String>, help: &str) -> Problem {
        let (origin, span) = self.root.place();
        let help = if help.is_empty() { Vec::new() } else { vec![help.to_owned()] };
        Problem { key: key.to_owned(), message: message.into(), label: String::new(), help, origin, span }
    }

    /// A problem of a setting.
    pub fn problem_of(&self, setting: &Setting, message: impl Into<String>, help: &str) -> Problem {
        self.with_root(setting.value.clone()).problem(setting.key(), message, help)
    }

    /// Problems of this file.
    pub fn errors(&self, problems: Vec<Problem>) -> ConfigErrors {
        ConfigErrors::new(&self.source, &self.overrides, problems)
    }
}

fn collect(path: &str, node: &Node, found: &mut Vec<Setting>) {
    match &node.value {
        Value::Table(entries) if path.is_empty() || !entries.is_empty() => {
            for (key, node) in entries {
                collect(&join(path, key), node, found);
            }
        }
        _ => found.push(Setting::of_file(path.to_owned(), node.clone())),
    }
}
