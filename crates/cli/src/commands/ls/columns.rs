//! The columns of the list: what each shows, and how it is sorted by.

use std::cmp::Ordering;

use annotate_snippets::normalize_untrusted_str;
use kiln_settings::{Kind, Schema};
use kiln_training::config::Config;
use serde_json::Value;

use super::rows::Row;
use crate::sizes;
use crate::training_display::{duration, grouped};

/// The columns by the names that they are asked for, each with its heading.
const KNOWN: [(&str, &str); 11] = [
    ("name", "name"),
    ("kind", "kind"),
    ("model", "model"),
    ("parameters", "parameters"),
    ("steps", "steps"),
    ("loss", "best loss"),
    ("bits-per-byte", "bits/byte"),
    ("checkpoints", "checkpoints"),
    ("state", "state"),
    ("size", "size"),
    ("changed", "last change"),
];

/// A column: one of the known ones, or a setting by its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column(String);

impl Column {
    /// The column of this name.
    ///
    /// # Errors
    /// A sentence for the user where there is none.
    pub(crate) fn parse(name: &str) -> Result<Self, String> {
        let is_known = KNOWN.iter().any(|(known, _)| *known == name);
        let is_setting = |kind: &Kind| !matches!(kind, Kind::Table(_) | Kind::Map);
        if is_known || Schema::of::<Config>().get(name).is_some_and(|entry| is_setting(&entry.kind)) {
            return Ok(Self(name.to_owned()));
        }
        let names: Vec<&str> = KNOWN.iter().map(|(name, _)| *name).collect();
        let names = names.join(", ");
        Err(format!("there are {names}, and the keys of configurations, for example run.batch or schedule"))
    }

    /// Those that are shown if none are asked for: all but the kind.
    pub(super) fn usual() -> Vec<Self> {
        KNOWN.iter().filter(|(name, _)| *name != "kind").map(|(name, _)| Self((*name).to_owned())).collect()
    }

    pub(super) fn heading(&self) -> &str {
        KNOWN.iter().find(|(name, _)| *name == self.0).map_or(&self.0, |(_, heading)| heading)
    }

    /// The key of the setting that it shows.
    pub(super) fn setting(&self) -> Option<&str> {
        (!KNOWN.iter().any(|(name, _)| *name == self.0)).then_some(&self.0)
    }

    /// What a line has in this column, as text.
    pub(super) fn cell(&self, row: &Row, now: u64) -> String {
        let number = |number: Option<u64>| number.map(|number| number.to_string());
        let of = |some: Option<String>, all: Option<String>| match (some, all) {
            (Some(some), Some(all)) => format!("{some} / {all}"),
            (some, all) => some.or(all).unwrap_or_default(),
        };
        let count = |count: Option<usize>| number(count.map(|count| count as u64));
        let four = |number: Option<f64>| number.map(|number| format!("{number:.4}")).unwrap_or_default();
        match self.0.as_str() {
            "name" => normalize_untrusted_str(&row.name),
            "kind" => row.kind.to_owned(),
            "model" => row.model.unwrap_or_default().to_owned(),
            "parameters" => row.parameters.map(grouped).unwrap_or_default(),
            "steps" => of(number(row.step), number(row.steps)),
            "loss" => four(row.best_loss),
            "bits-per-byte" => four(row.bits_per_byte),
            "checkpoints" => of(count(row.whole_checkpoints), count(row.checkpoints)),
            "state" => normalize_untrusted_str(&row.state_words()),
            "size" => sizes::bytes(row.bytes),
            "changed" => {
                let since = |changed| duration(now.saturating_sub(changed) as f64);
                row.changed.map(|changed| format!("{} ago", since(changed))).unwrap_or_default()
            }
            key => match row.setting(key) {
                Value::Null => String::new(),
                Value::String(text) => normalize_untrusted_str(&text),
                other => normalize_untrusted_str(&other.to_string()),
            },
        }
    }

    /// The order of two lines: numbers by their size, texts by the alphabet, what has neither last.
    pub(super) fn compare(&self, left: &Row, right: &Row) -> Ordering {
        match (self.value(left), self.value(right)) {
            (Value::Null, Value::Null) => Ordering::Equal,
            (Value::Null, _) => Ordering::Greater,
            (_, Value::Null) => Ordering::Less,
            (left, right) => match (left.as_f64(), right.as_f64()) {
                (Some(left), Some(right)) => left.total_cmp(&right),
                _ => text(&left).cmp(&text(&right)),
            },
        }
    }

    /// What a line is sorted by.
    fn value(&self, row: &Row) -> Value {
        match self.0.as_str() {
            "name" => row.name.clone().into(),
            "kind" => row.kind.into(),
            "model" => row.model.into(),
            "parameters" => row.parameters.into(),
            "steps" => row.step.into(),
            "loss" => row.best_loss.into(),
            "bits-per-byte" => row.bits_per_byte.into(),
            "checkpoints" => row.whole_checkpoints.into(),
            "state" => row.state.clone().into(),
            "size" => row.bytes.into(),
            "changed" => row.changed.into(),
            key => row.setting(key),
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
