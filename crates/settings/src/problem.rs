//! What is wrong with a configuration, and where.

use std::fmt;
use std::ops::Range;

/// The text of a file, with the name that its problems are reported under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The path as the user gave it, in front of every problem.
    pub name: String,
    /// The text of the file.
    pub text: String,
}

impl Source {
    /// A file of this name and text.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: text.into() }
    }
}

/// One key set beside the file, for example by an option `--set key=value` of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// What set it, in front of every problem: the option, for example `--set`.
    pub name: String,
    /// The dotted key, for example `run.steps`.
    pub key: String,
    /// The value as typed: TOML where it parses as such, else plain text.
    pub value: String,
}

impl Override {
    /// Splits `key=value`, which was given by the option `name`, at the first equals sign.
    ///
    /// # Errors
    /// A sentence for the user when there is no equals sign or a part of the key is empty.
    pub fn parse(name: &str, argument: &str) -> Result<Self, String> {
        let Some((key, value)) = argument.split_once('=') else {
            return Err("there is no `=` in it; write KEY=VALUE, for example `run.steps=100`".into());
        };
        let key = key.trim();
        if key.split('.').any(|part| part.trim().is_empty()) {
            return Err(format!("`{key}` is no key; write for example `run.steps=100`"));
        }
        Ok(Self { name: name.to_owned(), key: key.to_owned(), value: value.trim().to_owned() })
    }

    /// The text that spans of problems in this override point into.
    pub fn text(&self) -> String {
        format!("{}={}", self.key, self.value)
    }
}

/// Where a value, and so a problem, comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// The configuration file.
    File,
    /// The override of this index; its problems point into [`Override::text`].
    Override(usize),
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The dotted key from the root of the file; empty for a syntax error.
    pub key: String,
    /// What is wrong, naming the key, the value and the rule.
    pub message: String,
    /// The few words under the caret.
    pub label: String,
    /// What to write instead.
    pub help: Vec<String>,
    /// Which text [`Self::span`] points into.
    pub origin: Origin,
    /// The bytes of the text that are meant.
    pub span: Range<usize>,
}

/// Nobody reads more; a file with more was named by mistake, and reporting each takes a walk through the text.
const MOST_PROBLEMS: usize = 100;

/// What is wrong with a configuration, in the order of the file: everything, or the first hundred.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    /// The file.
    pub source: Source,
    /// The overrides that were applied to it.
    pub overrides: Vec<Override>,
    /// At least one problem.
    pub problems: Vec<Problem>,
}

impl ConfigErrors {
    /// Collects the problems, sorted by place, each once.
    pub fn new(source: &Source, overrides: &[Override], mut problems: Vec<Problem>) -> Self {
        problems.sort_by(|a, b| (a.origin, a.span.start, &a.key).cmp(&(b.origin, b.span.start, &b.key)));
        problems.dedup();
        problems.truncate(MOST_PROBLEMS);
        Self { source: source.clone(), overrides: overrides.to_vec(), problems }
    }

    /// The name and the text that a problem points into.
    pub fn text_of(&self, problem: &Problem) -> (&str, String) {
        let set = match problem.origin {
            Origin::File => None,
            Origin::Override(index) => self.overrides.get(index),
        };
        set.map_or_else(|| (&*self.source.name, self.source.text.clone()), |set| (&set.name, set.text()))
    }

    /// Line and column of a problem, both counted from one, the column in characters.
    pub fn position_of(&self, problem: &Problem) -> (usize, usize) {
        position(&self.text_of(problem).1, problem.span.start)
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            let (name, _) = self.text_of(problem);
            let (line, column) = self.position_of(problem);
            write!(formatter, "{separator}{name}:{line}:{column}: {}", problem.message)?;
            for help in &problem.help {
                write!(formatter, "\n  help: {help}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// Line and column of a byte, both counted from one, the column in characters.
pub(crate) fn position(text: &str, byte: usize) -> (usize, usize) {
    let mut byte = byte.min(text.len());
    while !text.is_char_boundary(byte) {
        byte -= 1;
    }
    let before = &text[..byte];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}
