//! A broken rule, found after the file was read.

/// One broken rule: which key, what is wrong, and what would be right.
///
/// `key` is dotted and relative to the table that was validated. The owner of the table above puts its own name in
/// front with [`Violation::under`], so that the reader of the file can point at the line.
///
/// ```
/// use kiln_settings::Violation;
///
/// let of_the_oven = Violation::new("flame", "must be above 0, is -1").with_help("2 is enough for bread");
/// assert_eq!(of_the_oven.under("oven.gas").key, "oven.gas.flame");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The dotted key, for example `transformer.heads`.
    pub key: String,
    /// What is wrong, naming the value and the rule.
    pub message: String,
    /// What to write instead, if that is known.
    pub help: Option<String>,
}

impl Violation {
    /// A violation of `key` with its explanation.
    pub fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { key: key.into(), message: message.into(), help: None }
    }

    /// The same violation with advice.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same violation seen from the table `table` above.
    #[must_use]
    pub fn under(mut self, table: &str) -> Self {
        self.key = format!("{table}.{}", self.key);
        self
    }
}
