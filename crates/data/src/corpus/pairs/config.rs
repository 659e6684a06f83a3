//! `[data.pairs]` and `[data.builtin-pairs]`.

use kiln_settings::Violation;
use serde::{Deserialize, Serialize};

/// `[data.pairs]`: files of pairs on this machine, read into memory: either `paths`, or `source` and `target`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct PairsConfig {
    /// UTF-8 files or patterns. Where a name ends in `.jsonl` each line is a JSON object with the texts `source` and
    /// `target`; in all others each is a source, a tab and a target. No default.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// A UTF-8 file with a source on each line. No default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// A UTF-8 file with the target of the same line of `source`. No default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

/// `[data.builtin-pairs]`: sentences of the tales and their translation into an invented language, by exact rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct BuiltinPairsConfig {
    /// Pairs, training and validation together. What validates is not trained on, and is longer than half of what is.
    /// Default: 20000.
    pub pairs: usize,
    /// The most clauses of a sentence. Default: 3.
    pub clauses: usize,
    /// Seed of the sentences; it has nothing to do with the seed of the training. Default: 0.
    pub seed: u64,
}

impl Default for BuiltinPairsConfig {
    fn default() -> Self {
        Self { pairs: 20_000, clauses: 3, seed: 0 }
    }
}

impl PairsConfig {
    /// The rules that these settings break.
    pub(in crate::corpus) fn validate(&self) -> Vec<Violation> {
        let files = [("source", &self.source), ("target", &self.target)];
        let named: Vec<&str> = files.iter().filter(|(_, file)| file.is_some()).map(|(key, _)| *key).collect();
        let help = "write `paths = [\"pairs.tsv\"]`, or `source` and `target`, two files of as many lines";
        let wrong = |key: &str, message: &str| vec![Violation::new(key, message).with_help(help)];
        match (self.paths.is_empty(), named.as_slice()) {
            (true, []) => wrong("paths", "must name at least one file"),
            (true, [one]) => {
                let other = if *one == "source" { "target" } else { "source" };
                wrong(other, &format!("is missing: `{one}` needs a file with as many lines beside it"))
            }
            (false, [one, ..]) => wrong(one, "cannot be used with `paths`, whose files hold both texts of a pair"),
            (false, []) => super::super::config::check_paths("paths", &self.paths),
            (true, _) => Vec::new(),
        }
    }
}

impl BuiltinPairsConfig {
    /// The rules that these settings break.
    pub(in crate::corpus) fn validate(&self) -> Vec<Violation> {
        let mut violations = Vec::new();
        if !(10..=10_000_000).contains(&self.pairs) {
            let message = format!("must be between 10 and 10000000, is {}", self.pairs);
            violations.push(Violation::new("pairs", message).with_help("a model learns the language from about 20000"));
        }
        if !(1..=20).contains(&self.clauses) {
            violations.push(Violation::new("clauses", format!("must be between 1 and 20, is {}", self.clauses)));
        }
        violations
    }
}
