//! Prompts, measured: questions of which the answers are known, put to a model.
//!
//! A question is answered in one of two ways, as in EleutherAI's lm-evaluation-harness: by the likeliest of several
//! choices, or by what the model writes.

mod answer;
mod error;
mod prepared;
mod proportion;
mod question;
#[cfg(test)]
mod tests;

use kiln_models::saved::SavedModel;
use kiln_models::{LanguageModel, Tokenizer};

pub use answer::{Answer, ChoiceSummary, Outcome, TaskSummary};
pub use error::{QuestionError, TaskError};
pub use prepared::PreparedTasks;
pub use proportion::Proportion;
pub use question::{Question, QuestionKind, TaskSource, Tasks};

/// A model that is asked.
#[derive(Clone, Copy)]
pub struct TaskModel<'a> {
    /// The model.
    pub model: &'a LanguageModel,
    /// Its tokenizer.
    pub tokenizer: &'a Tokenizer,
    /// What stands before every prompt.
    pub start: &'a [u32],
    /// Tokens that end an answer, beside that of the tokenizer.
    pub end: &'a [u32],
}

impl<'a> TaskModel<'a> {
    /// A model that was opened.
    pub fn of(saved: &'a SavedModel) -> Self {
        Self { model: &saved.model, tokenizer: &saved.tokenizer, start: &saved.start, end: &saved.end }
    }
}
