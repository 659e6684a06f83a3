//! What a type's `Deserialize` does not say of its keys.

use super::schema::{Kind, Schema};

/// What is known of a type's keys beside the type.
#[derive(Debug, Clone, Copy)]
pub struct Hints<'a> {
    /// Tables of which one excludes the others though they are no enum: the table that holds them, and their names.
    pub alternatives: &'a [(&'a str, &'a [&'a str])],
    /// What to say of an unknown key that is the word of another program.
    pub word: fn(&str) -> Option<String>,
}

impl Default for Hints<'_> {
    /// None.
    fn default() -> Self {
        Self { alternatives: &[], word: |_| None }
    }
}

impl Hints<'_> {
    /// The names of the tables of which `table` takes one.
    pub fn choice<'a>(&'a self, schema: &'a Schema, table: &str) -> &'a [&'a str] {
        match schema.get(table).map(|entry| &entry.kind) {
            Some(Kind::Choice(names)) => names,
            _ => self.alternatives.iter().find(|(path, _)| *path == table).map_or(&[], |(_, names)| names),
        }
    }
}

/// A table of the file that made room for another one of the same choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced {
    /// The path of the table in the file.
    pub table: String,
    /// The index of the override that chose another one.
    pub by: usize,
}
