//! `[prune]`: what is left out.

use kiln_settings::Violation;
use kiln_settings::rules::below_one;
use serde::{Deserialize, Serialize};

/// What is left out of a model, in this order: layers, heads, neurons, single numbers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct PruneConfig {
    /// Blocks of a transformer that are left out: those that change the stream's direction least. Default 0.
    pub layers: usize,
    /// Heads of keys and values that are left out of each block, with the heads of queries that share them: those that
    /// add least to the stream. Default 0.
    pub heads: usize,
    /// The share of the neurons inside each feed-forward part of a transformer, or of the units of each recurrent
    /// layer, that is left out: those that add least to what reads them. Default 0.
    pub neurons: f64,
    /// The share of the numbers in the matrices of the layers that becomes 0. Default 0.
    pub sparsity: f64,
    /// "N:M": of each M neighbours in a row, those that one output is made of, N stay; in place of `sparsity`. Default:
    /// none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// What a number is worth: "magnitude" or "wanda". Default "wanda".
    pub score: Score,
    /// Among which numbers the least are chosen for `sparsity`: "row", "matrix" or "model". Default "row".
    pub across: Across,
}

/// What a number is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Score {
    /// Its magnitude.
    Magnitude,
    /// Its magnitude times the norm of its input on a calibration text (Sun et al. 2024,
    /// <https://arxiv.org/abs/2306.11695>).
    #[default]
    Wanda,
}

/// Among which numbers the least are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Across {
    /// Those of one output.
    #[default]
    Row,
    /// Those of one matrix.
    Matrix,
    /// Those of all matrices.
    Model,
}

impl PruneConfig {
    /// N and M of the pattern.
    pub(crate) fn pattern(&self) -> Option<[usize; 2]> {
        let (kept, group) = self.pattern.as_deref()?.split_once(':')?;
        let [kept, group] = [kept, group].map(|number| number.trim().parse::<usize>().unwrap_or(0));
        (kept > 0 && kept < group && group <= 64).then_some([kept, group])
    }

    /// Whether single numbers become 0.
    pub(crate) fn makes_zeros(&self) -> bool {
        self.sparsity > 0.0 || self.pattern.is_some()
    }

    pub(crate) fn is_nothing(&self) -> bool {
        self.layers == 0 && self.heads == 0 && self.neurons == 0.0 && !self.makes_zeros()
    }

    /// Whether what is left out goes by the inputs on a text. Layers always do.
    pub(crate) fn needs_calibration(&self) -> bool {
        self.score == Score::Wanda || self.layers > 0
    }

    pub(crate) fn validate(&self) -> Vec<Violation> {
        let mut violations = Vec::new();
        violations.extend(below_one("sparsity", &[self.sparsity]));
        violations.extend(below_one("neurons", &[self.neurons]));
        if self.pattern.is_some() && self.pattern().is_none() {
            let message =
                format!("must be N:M with N below M up to 64, is \"{}\"", self.pattern.as_deref().unwrap_or(""));
            violations.push(Violation::new("pattern", message).with_help("write \"2:4\""));
        }
        if self.pattern.is_some() && self.sparsity > 0.0 {
            violations.push(Violation::new("sparsity", "must be left out beside `pattern`, which says it already"));
        }
        if self.is_nothing() && violations.is_empty() {
            let help =
                "for example `sparsity = 0.5`, `pattern = \"2:4\"`, `heads = 1`, `neurons = 0.25` or `layers = 1`";
            violations.push(Violation::new("sparsity", "is 0, and nothing else is to be left out").with_help(help));
        }
        violations
    }

    /// What is left out, in words.
    pub(crate) fn words(&self) -> String {
        let mut what = Vec::new();
        let counted = |count: usize, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
        if self.layers > 0 {
            what.push(counted(self.layers, "layer"));
        }
        if self.heads > 0 {
            what.push(format!("{} of each layer", counted(self.heads, "head")));
        }
        if self.neurons > 0.0 {
            what.push(format!("{:.0} % of the neurons", 100.0 * self.neurons));
        }
        let score = match self.score {
            Score::Magnitude => "magnitude",
            Score::Wanda => "Wanda",
        };
        let across = match self.across {
            Across::Row => "row",
            Across::Matrix => "matrix",
            Across::Model => "model",
        };
        match &self.pattern {
            Some(pattern) => what.push(format!("all but {pattern} of the numbers of layers by {score}")),
            None if self.sparsity > 0.0 => {
                what.push(format!("{:.0} % of the numbers of each {across} by {score}", 100.0 * self.sparsity));
            }
            None => {}
        }
        format!("pruned: without {}", what.join(", "))
    }
}
