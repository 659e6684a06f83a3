//! The keys of a `config.json`: which were read, and which are left.

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::error::HuggingFaceError;

/// A table of `config.json` that knows which of its keys were asked for.
pub(super) struct Keys<'a> {
    table: &'a Map<String, Value>,
    read: RefCell<BTreeSet<String>>,
}

impl<'a> Keys<'a> {
    pub(super) fn new(table: &'a Map<String, Value>) -> Self {
        Self { table, read: RefCell::default() }
    }

    /// The value of a key; `None` if it isn't there or is null.
    pub(super) fn get(&self, key: &str) -> Option<&'a Value> {
        self.read.borrow_mut().insert(key.to_owned());
        self.table.get(key).filter(|value| !value.is_null())
    }

    /// A whole number above 0.
    pub(super) fn whole(&self, key: &str) -> Result<Option<usize>, HuggingFaceError> {
        let whole = |value: &Value| value.as_u64().and_then(|number| usize::try_from(number).ok()).filter(|n| *n > 0);
        self.of_kind(key, whole, "which is no whole number above 0")
    }

    /// The same where a key that isn't there means something else than one that is null.
    pub(super) fn whole_or(&self, key: &str, absent: Option<usize>) -> Result<Option<usize>, HuggingFaceError> {
        if self.table.contains_key(key) { self.whole(key) } else { Ok(absent) }
    }

    /// A whole number, or 0.
    pub(super) fn count(&self, key: &str) -> Result<Option<usize>, HuggingFaceError> {
        let count = |value: &Value| value.as_u64().and_then(|number| usize::try_from(number).ok());
        self.of_kind(key, count, "which is no whole number")
    }

    /// As [`Self::whole_or`].
    pub(super) fn number_or(&self, key: &str, absent: Option<f64>) -> Result<Option<f64>, HuggingFaceError> {
        if self.table.contains_key(key) { self.number(key) } else { Ok(absent) }
    }

    pub(super) fn number(&self, key: &str) -> Result<Option<f64>, HuggingFaceError> {
        self.of_kind(key, Value::as_f64, "which is no number")
    }

    pub(super) fn flag(&self, key: &str, default: bool) -> Result<bool, HuggingFaceError> {
        Ok(self.of_kind(key, Value::as_bool, "which is neither true nor false")?.unwrap_or(default))
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<String>, HuggingFaceError> {
        self.of_kind(key, |value| value.as_str().map(str::to_owned), "which is no text")
    }

    fn of_kind<T>(
        &self,
        key: &str,
        read: impl Fn(&Value) -> Option<T>,
        problem: &str,
    ) -> Result<Option<T>, HuggingFaceError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        read(value).map(Some).ok_or_else(|| wrong(key, value, problem))
    }

    /// A list, of each of whose items `read` makes something.
    pub(super) fn list<T>(
        &self,
        key: &str,
        read: impl Fn(&Value) -> Option<T>,
        problem: &str,
    ) -> Result<Option<Vec<T>>, HuggingFaceError> {
        self.of_kind(key, |value| value.as_array()?.iter().map(&read).collect(), problem)
    }

    /// A table within this one.
    pub(super) fn table(&self, key: &str) -> Result<Option<Self>, HuggingFaceError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        value.as_object().map(|table| Some(Keys::new(table))).ok_or_else(|| wrong(key, value, "which is no table"))
    }

    /// A whole number that must be there, unless it has a default.
    pub(super) fn size_or(&self, key: &str, absent: Option<usize>) -> Result<usize, HuggingFaceError> {
        self.whole_or(key, absent)?.ok_or_else(|| HuggingFaceError::MissingKey(key.to_owned()))
    }

    /// A whole number that must be there.
    pub(super) fn size(&self, key: &str) -> Result<usize, HuggingFaceError> {
        self.size_or(key, None)
    }

    /// Makes sure that a key, if it is there, has the one value that is supported.
    pub(super) fn only(&self, key: &str, value: &Value) -> Result<(), HuggingFaceError> {
        match self.get(key) {
            Some(found) if found != value => Err(wrong(key, found, &format!("and only {value} is supported"))),
            _ => Ok(()),
        }
    }

    /// As [`Self::finish`], for the table `name` within another.
    pub(super) fn finish_within(&self, name: &str, without_effect: &[&str]) -> Result<(), HuggingFaceError> {
        self.finish(without_effect).map_err(|error| match error {
            HuggingFaceError::UnknownKey(key) => HuggingFaceError::UnknownKey(format!("{name}.{key}")),
            other => other,
        })
    }

    /// Makes sure that nothing is left but keys that change nothing here.
    pub(super) fn finish(&self, without_effect: &[&str]) -> Result<(), HuggingFaceError> {
        let read = self.read.borrow();
        // With an underline begin notes of the programs that wrote the file.
        let is_known =
            |key: &String| read.contains(key) || without_effect.contains(&key.as_str()) || key.starts_with('_');
        let left = self.table.keys().find(|key| !is_known(key));
        left.map_or(Ok(()), |key| Err(HuggingFaceError::UnknownKey(key.clone())))
    }
}

pub(super) fn wrong(key: &str, value: &Value, problem: &str) -> HuggingFaceError {
    HuggingFaceError::Value { key: key.to_owned(), value: value.to_string(), problem: problem.to_owned() }
}
