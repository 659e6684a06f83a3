//! Where a file has nothing that its type could be made from.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use super::failure::{Failure, Reason};
use super::schema::join;

/// Places that are read as a dummy value because the file has nothing usable there.
#[derive(Debug, Default)]
pub(crate) struct Holes {
    /// Table and key.
    pub(crate) missing: Vec<(String, &'static str)>,
    /// Path and the rule that its value breaks.
    pub(crate) refused: BTreeMap<String, String>,
}

impl Holes {
    /// Makes a hole where a pass failed; false if there is one already, so that another pass would fail alike.
    pub(crate) fn fill(&mut self, failure: Failure) -> bool {
        let path = failure.path.unwrap_or_default();
        match failure.reason {
            Reason::Missing(key) => {
                let hole = (path, key);
                let new = !self.missing.contains(&hole);
                self.missing.push(hole);
                new
            }
            Reason::Refused(message) => match self.refused.entry(path) {
                Entry::Vacant(place) => {
                    place.insert(message);
                    true
                }
                // The second message is about the dummy value.
                Entry::Occupied(_) => false,
            },
        }
    }

    /// The keys to complain about: not those inside something that is itself missing or broken.
    pub(crate) fn missing_in_file(&self, broken: &BTreeSet<String>) -> Vec<(String, &'static str)> {
        let inside = |path: &str, outer: &str| {
            path == outer || path.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'))
        };
        let whole = |path: &str| {
            !self.missing.iter().any(|(table, key)| inside(path, &join(table, key)))
                && !broken.iter().any(|outer| inside(path, outer))
        };
        self.missing.iter().filter(|(path, _)| whole(path)).cloned().collect()
    }

    /// The keys that a missing table would need.
    pub(crate) fn keys_needed_under(&self, path: &str) -> Vec<&'static str> {
        self.missing.iter().filter(|(table, _)| table == path).map(|(_, key)| *key).collect()
    }

    pub(crate) fn missing_keys<'a>(&'a self, path: &'a str) -> impl Iterator<Item = &'static str> + 'a {
        self.missing.iter().filter(move |(table, _)| table == path).map(|(_, key)| *key)
    }
}
