//! What stops a pass of reading.

use std::fmt;

/// Why a type could not be made from what the file holds.
///
/// Mistakes in types and names never get here: the reader notes them and continues. What remains are a missing key and
/// a rule of a hand-written `Deserialize`.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    /// The dotted path of the table or value, once it is known.
    pub(crate) path: Option<String>,
    pub(crate) reason: Reason,
}

/// The two kinds of [`Failure`].
#[derive(Debug, Clone)]
pub(crate) enum Reason {
    /// The table at the path lacks this key.
    Missing(&'static str),
    /// The value at the path breaks a rule.
    Refused(String),
}

impl Failure {
    /// The same failure, which happened at `path` unless somebody nearer has said where.
    pub(crate) fn at(mut self, path: &str) -> Self {
        self.path.get_or_insert_with(|| path.to_owned());
        self
    }
}

impl serde::de::Error for Failure {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { path: None, reason: Reason::Refused(message.to_string()) }
    }

    fn missing_field(field: &'static str) -> Self {
        Self { path: None, reason: Reason::Missing(field) }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.as_deref().unwrap_or("");
        match &self.reason {
            Reason::Missing(field) => write!(formatter, "{path}: missing {field}"),
            Reason::Refused(message) => write!(formatter, "{path}: {message}"),
        }
    }
}

impl std::error::Error for Failure {}
