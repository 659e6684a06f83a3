//! What can be wrong with tasks.

use std::path::PathBuf;

use kiln_models::TokenizerError;

use crate::generate::GenerateError;
use crate::json_lines::JsonLinesError;
use crate::score::ScoreError;

/// Why tasks cannot be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TaskError {
    /// A file of tasks cannot be read, or one of its lines is no question.
    #[error(transparent)]
    File(#[from] JsonLinesError),
    /// All lines are examples.
    #[error(
        "`{}` has {lines} {}, too few for {shots} solved examples and a question", path.display(),
        if *lines == 1 { "question" } else { "questions" }
    )]
    NothingToAsk {
        /// The file.
        path: PathBuf,
        /// Its questions.
        lines: usize,
        /// How many of them are to be examples.
        shots: usize,
    },
    /// The file of the examples has too few.
    #[error(
        "`{}` has {lines} {}, and {shots} are wanted", path.display(),
        if *lines == 1 { "example" } else { "examples" }
    )]
    TooFewShots {
        /// The file.
        path: PathBuf,
        /// Its questions.
        lines: usize,
        /// How many of them are to be examples.
        shots: usize,
    },
    /// A question cannot be put to this model.
    #[error("`{}`, line {line}: {problem}", path.display())]
    Question {
        /// The file.
        path: PathBuf,
        /// Its line, counted from 1.
        line: usize,
        /// Why not.
        problem: QuestionError,
    },
    /// The choices cannot be scored.
    #[error(transparent)]
    Score(#[from] ScoreError),
    /// An answer cannot be written.
    #[error(transparent)]
    Generate(#[from] GenerateError),
}

/// Why a question cannot be put to a model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QuestionError {
    /// It cannot be spelled with the vocabulary.
    #[error("the model cannot read it: {0}")]
    Unreadable(#[from] TokenizerError),
    /// A choice adds nothing to the tokens of the prompt.
    #[error("choice {0} has no token of its own behind the prompt")]
    NoToken(usize),
    /// A choice alone is longer than what the model reads.
    #[error("a choice has {tokens} tokens, and the model reads {context} at once")]
    TooLong {
        /// Tokens of the choice.
        tokens: usize,
        /// Tokens that the model reads.
        context: usize,
    },
    /// The model gives no numbers.
    #[error("the model gives no number for a choice (NaN)")]
    NoNumber,
}
