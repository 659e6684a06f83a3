//! One batch: tokens to loss to gradients.

use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{Device, Int, Tensor, TensorData};
use kiln_kernels::Draws;
use kiln_models::{LanguageModel, PairTokens, State};

use super::distilling::distilling_step;
use super::preferring::preferring_step;
use super::recomputing::Features;
use super::teacher::Teacher;
use crate::config::DpoConfig;
use kiln_data::batches::{Batch, HostBatch, PairBatch, mix};

/// A batch, and the recurrent state before it.
#[derive(Clone)]
pub struct TrainingInput {
    /// The token windows, or pairs.
    pub batch: Batch,
    /// The state after the previous batch, if the order of the batches carries it.
    pub state: Option<State>,
    /// What the loss is multiplied by before it is differentiated: the batch's part of the update's targets that count.
    pub share: f64,
    /// The seed of dropout; `None` drops nothing.
    pub dropout_seed: Option<u64>,
    /// Whether a transformer keeps only what lies between its layers for the backward pass, and computes them again.
    pub recompute: bool,
    /// What is learned from beside the text.
    pub teaching: Option<Teaching>,
    /// How much of each label is spread over all tokens, with pairs.
    pub label_smoothing: f64,
    /// How preferences are learned, where the batch is one of them.
    pub preference: Option<DpoConfig>,
}

/// A teacher, and the state that it carries from batch to batch.
#[derive(Clone)]
pub struct Teaching {
    /// The teacher.
    pub teacher: Teacher,
    /// Its state after the previous batch, if the order of the batches carries it.
    pub state: Option<State>,
}

impl TrainingInput {
    /// A batch that starts cold and makes an update alone, without dropout.
    pub fn new(batch: impl Into<Batch>) -> Self {
        let batch = batch.into();
        Self {
            batch,
            state: None,
            share: 1.0,
            dropout_seed: None,
            recompute: false,
            teaching: None,
            label_smoothing: 0.0,
            preference: None,
        }
    }

    /// The first half of the rows and the others, each with its part of the state and of the share. Their losses and
    /// gradients add up to those of the whole, except for dropout, which draws anew, and rounding.
    ///
    /// A batch of one row stays whole.
    pub(super) fn halves(self) -> Vec<Self> {
        let (rows, first, terms) = (self.batch.rows(), self.batch.upper_half(), self.batch.terms());
        if first == 0 {
            return vec![self];
        }
        let Self { batch, state, share, dropout_seed, recompute, teaching, label_smoothing, preference } = self;
        let rows_of = |state: &Option<State>, start: usize, end: usize| {
            let part: Vec<usize> = (start..end).collect();
            state.as_ref().map(|state| state.take_rows(&part))
        };
        let piece = |start: usize, end: usize, batch: Batch, dropout_seed: Option<u64>| {
            let teaching = teaching.as_ref().map(|Teaching { teacher, state }| Teaching {
                teacher: teacher.clone(),
                state: rows_of(state, start, end),
            });
            let share = share * batch.terms() as f64 / terms as f64;
            let state = rows_of(&state, start, end);
            Self { batch, state, share, dropout_seed, recompute, teaching, label_smoothing, preference }
        };
        let (upper, lower) = batch.split(first);
        // With one seed both halves would drop the same, and their gradients would not be independent.
        let other_seed = dropout_seed.map(|seed| mix(seed, 1));
        vec![piece(0, first, upper, dropout_seed), piece(first, rows, lower, other_seed)]
    }
}

/// What a training step gives beside the gradients.
pub struct TrainingOutput {
    /// Mean loss, nats per token that counts, \[1\]: the cross-entropy, unless there is a teacher.
    pub loss: Tensor<1>,
    /// With a teacher: the mean cross-entropy, and the mean divergence from the teacher times the temperature squared.
    /// Of preferences: the mean margin, and the share of pairs whose chosen answer is preferred.
    pub parts: Option<[Tensor<1>; 2]>,
    /// The state after the batch, cut off from the graph.
    pub state: Option<State>,
    /// That of the teacher.
    pub teacher_state: Option<State>,
}

/// The loss of a batch and the gradients of `input.share` times it; `model` is with autodiff.
pub fn training_step(model: &LanguageModel, input: TrainingInput) -> (TrainingOutput, GradientsParams) {
    if let Some(teacher) = input.teaching.as_ref().map(|teaching| teaching.teacher.clone()) {
        return distilling_step(model, input, &teacher);
    }
    if let Some(settings) = input.preference {
        return preferring_step(model, input, settings);
    }
    if input.recompute {
        return recomputing_step(model, input);
    }
    let share = input.share;
    let (loss, state) = training_loss(model, input);
    let gradients = if share == 1.0 { loss.backward() } else { loss.clone().mul_scalar(share).backward() };
    let output =
        TrainingOutput { loss: loss.inner(), parts: None, state: state.map(State::detach), teacher_state: None };
    (output, GradientsParams::from_grads(gradients, model))
}

/// The same with layers that are computed once more on the way back, where the model can do so.
fn recomputing_step(model: &LanguageModel, input: TrainingInput) -> (TrainingOutput, GradientsParams) {
    let TrainingInput { batch, state, share, dropout_seed, .. } = input;
    let Batch::Windows(batch) = batch else { panic!("layers are computed again for windows of a text") };
    let (shape, device, counted) = ([batch.rows, batch.columns], model.device(), batch.counted());
    let [tokens, targets] = uploaded(batch.inputs, batch.targets, shape, &device);
    let draws = dropout_seed.map_or_else(Draws::none, Draws::from_seed);
    let (features, state) = Features::new(model, tokens, state, &batch.document_starts, draws, true);
    let read = features.read();
    let losses = model.losses_of(read.clone(), targets.reshape([shape[0] * shape[1]]));
    let loss = mean(losses.reshape(shape), batch.weights, counted);
    let found = loss.clone().mul_scalar(share).backward();
    let gradient = read.grad(&found);
    let mut accumulator = GradientsAccumulator::new();
    accumulator.accumulate(model, GradientsParams::from_grads(found, model));
    if let Some(gradient) = gradient {
        features.backward(model, gradient, &mut accumulator);
    }
    let output =
        TrainingOutput { loss: loss.inner(), parts: None, state: state.map(State::detach), teacher_state: None };
    (output, accumulator.grads())
}

/// The mean over the targets that count.
fn mean(losses: Tensor<2>, weights: Option<Vec<f32>>, counted: u64) -> Tensor<1> {
    match weights {
        Some(weights) => {
            let weights = on_device(weights, losses.dims(), &losses.device());
            losses.mul(weights).sum().div_scalar(counted as f64)
        }
        None => losses.mean(),
    }
}

/// The mean cross-entropy of a batch over the targets that count, without a teacher and not yet multiplied by its
/// share, \[1\], and the state after it; `model` is with autodiff.
pub fn training_loss(model: &LanguageModel, input: TrainingInput) -> (Tensor<1>, Option<State>) {
    let TrainingInput { batch, state, dropout_seed, label_smoothing, .. } = input;
    let mut draws = dropout_seed.map_or_else(Draws::none, Draws::from_seed);
    match batch {
        Batch::Windows(windows) => loss_of_windows(model, windows, state, &mut draws),
        Batch::Pairs(pairs) => {
            let counted = pairs.tokens();
            let (losses, weights) = losses_of_pairs(model, pairs, label_smoothing, &mut draws);
            (losses.mul(weights).sum().div_scalar(counted as f64), None)
        }
    }
}

fn loss_of_windows(
    model: &LanguageModel,
    batch: HostBatch,
    state: Option<State>,
    draws: &mut Draws,
) -> (Tensor<1>, Option<State>) {
    let (shape, device) = ([batch.rows, batch.columns], model.device());
    let counted = batch.counted();
    let [tokens, targets] = uploaded(batch.inputs, batch.targets, shape, &device);
    let (losses, state) = model.losses_of_documents(tokens, targets, state, &batch.document_starts, draws);
    (mean(losses, batch.weights, counted), state)
}

/// The weights of targets, brought to the device.
pub(super) fn on_device<const D: usize>(weights: Vec<f32>, shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(weights, shape), device)
}

/// The loss of each token of the targets, [rows, columns], and 1 where it is one and 0 where it is padding.
///
/// # Panics
/// When the model has no encoder: a configuration of such a run is refused.
pub(crate) fn losses_of_pairs(
    model: &LanguageModel,
    batch: PairBatch,
    label_smoothing: f64,
    draws: &mut Draws,
) -> (Tensor<2>, Tensor<2>) {
    let (shape, device) = ([batch.rows(), batch.columns], model.device());
    let weights = Tensor::<2>::from_data(TensorData::new(batch.weights(), shape), &device);
    let sources = TensorData::new(batch.sources, [shape[0], batch.source_columns]);
    let sources = Tensor::<2, Int>::from_data(sources, &device);
    let [inputs, targets] = uploaded(batch.inputs, batch.targets, shape, &device);
    let pairs = PairTokens { sources, source_lengths: batch.source_lengths, inputs, targets };
    let Some(losses) = model.losses_of_pairs(pairs, label_smoothing, draws) else {
        panic!("pairs are learned from by a model with an encoder")
    };
    (losses, weights)
}

/// Inputs and targets, each in the shape `[rows, columns]`, brought to the device in one go.
pub(crate) fn uploaded(
    mut inputs: Vec<i32>,
    targets: Vec<i32>,
    [rows, columns]: [usize; 2],
    device: &Device,
) -> [Tensor<2, Int>; 2] {
    inputs.extend(targets);
    let both = Tensor::<3, Int>::from_data(TensorData::new(inputs, [2, rows, columns]), device);
    [0, 1].map(|which| both.clone().narrow(0, which, 1).reshape([rows, columns]))
}
