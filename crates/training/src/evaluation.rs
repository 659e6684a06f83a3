//! The loss of a model on a split: deterministic, token-weighted.

use burn::data::dataloader::DataLoader;
use burn::data::dataset::DatasetError;
use burn::train::InferenceStep;
use kiln_models::State;
use serde::{Deserialize, Serialize};

use crate::learning::{EvaluationInput, TrainingModel};
use kiln_data::shards::TokenFile;

/// The loss of a model on a text.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Mean cross-entropy, nats per token.
    pub loss: f64,
    /// exp(loss).
    pub perplexity: f64,
    /// The loss in bits per UTF-8 byte of the text.
    pub bits_per_byte: f64,
    /// The loss in nats per character of the text.
    pub nats_per_character: f64,
    /// Predictions that were scored.
    pub tokens: u64,
}

impl Evaluation {
    /// From the mean loss of `tokens` predictions on `file`, whose average token holds so many bytes and characters.
    fn new(loss: f64, tokens: u64, file: &TokenFile) -> Self {
        let tokens_per = |count: u64| file.len() as f64 / count.max(1) as f64;
        Self {
            loss,
            perplexity: loss.exp(),
            bits_per_byte: loss / std::f64::consts::LN_2 * tokens_per(file.bytes()),
            nats_per_character: loss * tokens_per(file.characters()),
            tokens,
        }
    }
}

/// Evaluates `model`, which must not be on an autodiff device, on the batches of a plan for `file`.
///
/// Losses are summed on the host in double precision and in order, so that two evaluations of one model on one device
/// agree to the last bit. `proceed` is told the batches done and may stop the evaluation, which then gives `None`.
///
/// # Errors
/// When the file cannot be read or holds a token outside the vocabulary.
pub fn evaluate(
    model: &TrainingModel,
    loader: &dyn DataLoader<EvaluationInput>,
    file: &TokenFile,
    proceed: &mut dyn FnMut(u64) -> bool,
) -> Result<Option<Evaluation>, DatasetError> {
    let mut nats = 0.0_f64;
    let mut scored = 0_u64;
    let mut state: Option<State> = None;
    for (done, input) in loader.iter().enumerate() {
        if !proceed(done as u64) {
            return Ok(None);
        }
        let mut input = input?;
        let weights = input.batch.weights.clone();
        scored += input.batch.scored;
        input.state = state.take().filter(|_| input.batch.carries_state);
        let output = InferenceStep::step(model, input);
        state = output.state;
        let losses = output.losses.into_data();
        let counted = losses.iter::<f64>().zip(&weights).filter(|(_, weight)| **weight > 0.0);
        nats += counted.map(|(loss, _)| loss).sum::<f64>();
    }
    Ok(Some(Evaluation::new(nats / scored as f64, scored, file)))
}
