//! What a model answered, and how often it was right.

use serde::Serialize;

use super::proportion::Proportion;

/// The answer to one question.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// The line of the question, counted from 1.
    pub line: usize,
    /// What it is.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What a model answered.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Outcome {
    /// One of several choices.
    Choice {
        /// ln of the probability of each.
        log_probabilities: Vec<f64>,
        /// The likeliest one, counted from 0; the first among equals.
        chosen: usize,
        /// The one with the largest logarithm a byte.
        chosen_by_byte: usize,
        /// The right one.
        answer: usize,
    },
    /// A text.
    Generation {
        /// The text, without white space around it.
        written: String,
        /// What it should be, likewise.
        expected: String,
    },
}

impl Outcome {
    /// The choice among `texts` of these logarithms of probabilities. The length of a choice is that of its text
    /// without white space around it, so that it doesn't matter whether a space stands before it or in the prompt.
    pub(super) fn chosen(log_probabilities: Vec<f64>, texts: &[String], answer: usize) -> Self {
        let by_byte = |(value, text): (&f64, &String)| value / text.trim().len().max(1) as f64;
        let chosen_by_byte = first_largest(log_probabilities.iter().zip(texts).map(by_byte));
        let chosen = first_largest(log_probabilities.iter().copied());
        Self::Choice { log_probabilities, chosen, chosen_by_byte, answer }
    }

    /// A text that was written.
    pub(super) fn written(text: &str, expected: &str) -> Self {
        Self::Generation { written: text.trim().to_owned(), expected: expected.trim().to_owned() }
    }
}

fn first_largest(values: impl Iterator<Item = f64>) -> usize {
    let larger = |best: (usize, f64), next: (usize, f64)| if next.1 > best.1 { next } else { best };
    values.enumerate().reduce(larger).map_or(0, |(index, _)| index)
}

/// How often a model was right.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TaskSummary {
    /// Where it had to choose.
    pub choice: Option<ChoiceSummary>,
    /// Where it had to write: texts that equal what was expected.
    pub generation: Option<Proportion>,
}

/// How often a model chose right.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ChoiceSummary {
    /// By the likeliest choice.
    pub by_probability: Proportion,
    /// By the largest logarithm of a probability a byte.
    pub by_byte: Proportion,
    /// What choosing by chance would give.
    pub by_chance: f64,
}

impl TaskSummary {
    /// Of these answers.
    pub fn of(answers: &[Answer]) -> Self {
        let (mut choices, mut right, mut right_by_byte, mut by_chance) = (0, 0, 0, 0.0);
        let (mut texts, mut equal) = (0, 0);
        for answer in answers {
            match &answer.outcome {
                Outcome::Choice { log_probabilities, chosen, chosen_by_byte, answer } => {
                    choices += 1;
                    right += usize::from(chosen == answer);
                    right_by_byte += usize::from(chosen_by_byte == answer);
                    by_chance += 1.0 / log_probabilities.len() as f64;
                }
                Outcome::Generation { written, expected } => {
                    texts += 1;
                    equal += usize::from(written == expected);
                }
            }
        }
        let choice = Proportion::of(right, choices).zip(Proportion::of(right_by_byte, choices));
        let by_chance = by_chance / choices as f64;
        let summary = |(by_probability, by_byte)| ChoiceSummary { by_probability, by_byte, by_chance };
        Self { choice: choice.map(summary), generation: Proportion::of(equal, texts) }
    }
}
