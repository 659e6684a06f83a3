//! The loss of a model on a split: deterministic, token-weighted.

use std::collections::VecDeque;

use burn::tensor::{ExecutionError, Tensor};
use kiln_data::batches::{EvaluationBatch, EvaluationPlan, HostBatch, PairIndex, PairPlan};
use kiln_data::shards::{ShardError, TokenFile};
use kiln_kernels::Draws;
use kiln_models::{LanguageModel, State};
use kiln_parameters::Reading;
use serde::{Deserialize, Serialize};

use crate::config::{Config, DpoConfig};
use crate::learning::{TrainError, losses_of_pairs, preferred, uploaded};

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
    /// Of preferences, whose loss is that of [`DpoConfig`]; perplexity and what follows it are of the chosen answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preference: Option<Preferences>,
}

/// How a model tells preferences apart.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Preferences {
    /// The mean of beta times how much more it prefers the chosen answers than the reference model does.
    pub margin: f64,
    /// The share of pairs where that is above 0.
    pub accuracy: f64,
}

impl Evaluation {
    /// From the mean loss of `tokens` predictions on `file`, which says how many bytes and characters its tokens hold.
    pub(crate) fn new(loss: f64, tokens: u64, file: &TokenFile) -> Self {
        Self::of_lengths(loss, tokens, [file.predicted(), file.bytes(), file.characters()])
    }

    /// From the mean loss of `tokens` predictions on texts that have these tokens to predict, bytes and characters in
    /// all.
    fn of_lengths(loss: f64, tokens: u64, [all, bytes, characters]: [u64; 3]) -> Self {
        let tokens_per = |count: u64| all as f64 / count.max(1) as f64;
        Self {
            loss,
            perplexity: loss.exp(),
            bits_per_byte: loss / std::f64::consts::LN_2 * tokens_per(bytes),
            nats_per_character: loss * tokens_per(characters),
            tokens,
            preference: None,
        }
    }

    /// The loss on several texts taken together, each of which was evaluated by itself: the mean over all predictions.
    pub fn together(parts: &[(Self, TokenFile)]) -> Self {
        let tokens: u64 = parts.iter().map(|(part, _)| part.tokens).sum();
        let nats: f64 = parts.iter().map(|(part, _)| part.loss * part.tokens as f64).sum();
        let sum = |length: fn(&TokenFile) -> u64| parts.iter().map(|(_, file)| length(file)).sum();
        let lengths = [sum(TokenFile::predicted), sum(TokenFile::bytes), sum(TokenFile::characters)];
        Self::of_lengths(nats / tokens as f64, tokens, lengths)
    }
}

/// Why an evaluation failed.
#[derive(Debug, thiserror::Error)]
pub enum EvaluationError {
    /// The file cannot be read or holds a token outside the vocabulary.
    #[error(transparent)]
    Data(#[from] ShardError),
    /// The device did not give what was computed on it.
    #[error("the device failed: {0}")]
    Device(#[from] ExecutionError),
}

/// How a validation split is read.
#[derive(Debug, Clone)]
pub enum Plan {
    /// As windows of a text.
    Windows(EvaluationPlan),
    /// As pairs.
    Pairs(PairPlan),
}

impl From<EvaluationPlan> for Plan {
    fn from(plan: EvaluationPlan) -> Self {
        Self::Windows(plan)
    }
}

impl Plan {
    /// The plan of a run's evaluations on the split `file`.
    ///
    /// # Errors
    /// When the split is too short for a window, or has no pair that the model can read.
    pub fn of_run(config: &Config, file: &TokenFile, carries_state: bool) -> Result<Self, TrainError> {
        let run = &config.run;
        if config.model.reads_pairs() {
            let index = PairIndex::new(file, run.context, "validation")?;
            return Ok(Self::Pairs(PairPlan::new(index, run.evaluate_fraction, run.budget())));
        }
        let plan = EvaluationPlan::new(file, run.evaluate_fraction, run.batch, run.context, carries_state)?;
        Ok(Self::Windows(plan))
    }

    /// Number of batches.
    pub fn batches(&self) -> u64 {
        match self {
            Self::Windows(plan) => plan.batches(),
            Self::Pairs(plan) => plan.batches(),
        }
    }

    /// Predictions that count.
    pub fn targets(&self) -> u64 {
        match self {
            Self::Windows(plan) => plan.targets(),
            Self::Pairs(plan) => plan.index().target_tokens(),
        }
    }
}

/// Evaluates `model`, which is without autodiff, on the batches of `plan` for `file`.
///
/// Losses are summed on the host in double precision and in order, so that two evaluations of one model on one device
/// agree to the last bit. `proceed` gets the number of batches done and may stop the evaluation, which then gives
/// `None`.
///
/// # Errors
/// See [`EvaluationError`].
pub fn evaluate(
    model: &LanguageModel,
    file: &TokenFile,
    plan: &Plan,
    proceed: &mut dyn FnMut(u64) -> bool,
) -> Result<Option<Evaluation>, EvaluationError> {
    let (mut nats, mut scored) = (0.0_f64, 0_u64);
    let finished = walk(model, file, plan, proceed, &mut |losses| {
        nats += losses.iter().sum::<f64>();
        scored += losses.len() as u64;
    })?;
    let loss = nats / scored as f64;
    Ok(finished.then(|| match plan {
        Plan::Windows(_) => Evaluation::new(loss, scored, file),
        // Bytes and characters are those of the targets.
        Plan::Pairs(plan) => {
            Evaluation::of_lengths(loss, scored, [plan.index().target_tokens(), file.bytes(), file.characters()])
        }
    }))
}

/// The same of a file of preferences, where these are learned: their loss, margin and accuracy.
///
/// # Errors
/// See [`EvaluationError`].
pub fn evaluate_as(
    model: &LanguageModel,
    file: &TokenFile,
    plan: &Plan,
    preference: Option<DpoConfig>,
    proceed: &mut dyn FnMut(u64) -> bool,
) -> Result<Option<Evaluation>, EvaluationError> {
    let (Some(settings), Plan::Windows(plan)) = (preference, plan) else { return evaluate(model, file, plan, proceed) };
    let (mut sums, mut pairs, mut chosen, mut tokens) = ([0.0; 3], 0.0, 0.0, 0);
    for index in 0..plan.batches() {
        if !proceed(index) {
            return Ok(None);
        }
        let batch = HostBatch::from(plan.read(file, index)?);
        let counted_of_chosen = batch.counted_of_chosen();
        let here = (batch.rows / 2) as f64;
        let found = preferred(model, batch, settings, &mut Draws::none());
        let numbers = Tensor::cat(vec![found.loss, found.margin, found.accuracy, found.answers], 0).try_into_data()?;
        let numbers: Vec<f64> = numbers.iter::<f64>().collect();
        sums.iter_mut().zip(&numbers).for_each(|(sum, number)| *sum += number * here);
        chosen -= numbers[3..].iter().step_by(2).sum::<f64>();
        (pairs, tokens) = (pairs + here, tokens + counted_of_chosen);
    }
    let [loss, margin, accuracy] = sums.map(|sum| sum / pairs);
    let of_chosen = Evaluation::new(chosen / tokens as f64, tokens, file);
    Ok(Some(Evaluation { loss, preference: Some(Preferences { margin, accuracy }), ..of_chosen }))
}

/// The loss of every token of `file`, nats, but of the first where nothing stands before it, in the order of the text.
/// The plan must read the text in that order: one stream where it carries the state.
///
/// # Errors
/// See [`EvaluationError`].
pub fn token_losses(
    model: &LanguageModel,
    file: &TokenFile,
    plan: &EvaluationPlan,
) -> Result<Vec<f64>, EvaluationError> {
    let mut all = Vec::new();
    walk(model, file, &Plan::Windows(plan.clone()), &mut |_| true, &mut |losses| all.extend_from_slice(losses))?;
    Ok(all)
}

/// Batches whose losses are on their way from the device while it works on the next one.
const ON_THEIR_WAY: usize = 2;

/// Gives the counted losses of one batch after the other; says whether it came to the end.
fn walk(
    model: &LanguageModel,
    file: &TokenFile,
    plan: &Plan,
    proceed: &mut dyn FnMut(u64) -> bool,
    take: &mut dyn FnMut(&[f64]),
) -> Result<bool, EvaluationError> {
    let mut state: Option<State> = None;
    let mut read = |(mut losses, weights): (Reading, Vec<f32>)| -> Result<(), ExecutionError> {
        let counted = losses.wait()?.iter().zip(&weights).filter(|(_, weight)| **weight > 0.0);
        take(&counted.map(|(loss, _)| *loss).collect::<Vec<f64>>());
        Ok(())
    };
    let mut on_their_way = VecDeque::new();
    for index in 0..plan.batches() {
        if !proceed(index) {
            return Ok(false);
        }
        let (losses, weights) = match plan {
            Plan::Windows(plan) => {
                let batch = plan.read(file, index)?;
                let before = state.take().filter(|_| batch.carries_state);
                let (losses, after) = losses(model, &batch, before);
                state = after;
                (losses, batch.weights)
            }
            Plan::Pairs(plan) => {
                let batch = plan.read(index)?;
                let weights = batch.weights();
                let (losses, _) = losses_of_pairs(model, batch, 0.0, &mut Draws::none());
                (losses.reshape([weights.len()]), weights)
            }
        };
        on_their_way.push_back((Reading::begin(losses), weights));
        if on_their_way.len() > ON_THEIR_WAY
            && let Some(oldest) = on_their_way.pop_front()
        {
            read(oldest)?;
        }
    }
    on_their_way.into_iter().try_for_each(read)?;
    Ok(true)
}

/// The loss of every token of a batch, counted or not, nats, [rows * columns], and the state after it.
fn losses(model: &LanguageModel, batch: &EvaluationBatch, state: Option<State>) -> (Tensor<1>, Option<State>) {
    let (shape, device) = ([batch.rows, batch.columns], model.device());
    let [tokens, targets] = uploaded(batch.inputs.clone(), batch.targets.clone(), shape, &device);
    let (losses, state) = model.losses_of_documents(tokens, targets, state, &batch.document_starts, &mut Draws::none());
    (losses.reshape([batch.rows * batch.columns]), state)
}
