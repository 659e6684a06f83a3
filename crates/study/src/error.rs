//! Why a study ended without its findings.

use burn::tensor::ExecutionError;
use kiln_data::batches::TooShort;
use kiln_data::shards::ShardError;
use kiln_inference::{GenerateError, ScoreError};
use kiln_models::TokenizerError;
use kiln_training::evaluation::EvaluationError;
use kiln_training::learning::TrainError;

/// Why a study ended without its findings.
#[derive(Debug, thiserror::Error)]
pub enum StudyError {
    /// It was asked to stop.
    #[error("stopped")]
    Stopped,
    /// A model could not be trained.
    #[error("the model `{name}`, repeat {repeat}: {source}")]
    Training {
        /// Which.
        name: String,
        /// Counted from 1.
        repeat: usize,
        /// Why.
        source: Box<TrainError>,
    },
    /// The text has fewer tokens than are measured on.
    #[error("the validation split has {tokens} tokens, but a window needs {needed}")]
    Short {
        /// Tokens that there are.
        tokens: u64,
        /// Tokens that are needed.
        needed: u64,
    },
    /// The training split is too short for a batch.
    #[error(transparent)]
    TooShort(#[from] TooShort),
    /// The tokens cannot be read.
    #[error(transparent)]
    Data(#[from] ShardError),
    /// A model could not be evaluated.
    #[error(transparent)]
    Evaluation(#[from] EvaluationError),
    /// The device failed.
    #[error("the device failed: {0}")]
    Device(#[from] ExecutionError),
    /// A text that the tokenizer has no tokens for.
    #[error("the text of `{key}` cannot be read: {source}")]
    Text {
        /// The key.
        key: &'static str,
        /// Why not.
        source: TokenizerError,
    },
    /// A model could not write.
    #[error(transparent)]
    Generate(#[from] GenerateError),
    /// A text could not be judged.
    #[error(transparent)]
    Score(#[from] ScoreError),
    /// No width gives a model of the size that is asked for.
    #[error("no width of the model `{name}` gives about {parameters} parameters: the nearest has {nearest}")]
    Size {
        /// Which model.
        name: String,
        /// What is asked for.
        parameters: u64,
        /// What there is.
        nearest: u64,
    },
}
