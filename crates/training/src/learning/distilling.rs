//! The loss of a batch against the text and a teacher, and its gradients, for as many tokens at a time as there should
//! be logits.

use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::activation::{log_softmax, softmax};
use burn::tensor::{Int, Tensor};
use kiln_kernels::{Draws, cross_entropy};
use kiln_models::{LanguageModel, State};

use super::loss::{TrainingInput, TrainingOutput, on_device, uploaded};
use super::recomputing::Features;
use super::teacher::Teacher;

/// Logits of a model at a time, in numbers: there are half a dozen tensors of that size. 16 MiB in single precision.
const MOST_LOGITS: usize = 1 << 22;

/// As [`training_step`](super::training_step), with a teacher.
///
/// The gradients come in two parts: through the head, for some tokens at a time, up to what the head reads; and from
/// there on, where the sum of that times its gradient, which is constant, has the same gradient as the loss.
pub(super) fn distilling_step(
    model: &LanguageModel,
    input: TrainingInput,
    teacher: &Teacher,
) -> (TrainingOutput, GradientsParams) {
    step_in_parts(model, input, teacher, (MOST_LOGITS / model.vocabulary_size()).max(1))
}

/// The same for `part` tokens at a time.
pub(super) fn step_in_parts(
    model: &LanguageModel,
    input: TrainingInput,
    teacher: &Teacher,
    part: usize,
) -> (TrainingOutput, GradientsParams) {
    let TrainingInput { batch, state, share, dropout_seed, recompute, teaching, .. } = input;
    let (shape, device) = ([batch.rows, batch.columns], model.device());
    let (places, counted) = (batch.rows * batch.columns, batch.counted());
    let weights = batch.weights.map(|weights| on_device(weights, [places], &device).inner());
    let [tokens, targets] = uploaded(batch.inputs, batch.targets, shape, &device);
    let before = teaching.and_then(|teaching| teaching.state);
    let before = before.or_else(|| teacher.initial_state(batch.rows));
    let (taught, teacher_state) = teacher.read(tokens.clone().inner(), before, &batch.document_starts);
    let draws = dropout_seed.map_or_else(Draws::none, Draws::from_seed);
    let (features, state) = Features::new(model, tokens, state, &batch.document_starts, draws, recompute);
    let [rows, steps] = shape;
    let targets = targets.reshape([rows * steps]);

    let mut accumulator = GradientsAccumulator::new();
    let (scale, weight) = (1.0 / counted as f64, teacher.weight);
    let parts = features.values.clone().split(part, 0).into_iter().zip(taught.split(part, 0));
    let (mut hard, mut soft, mut gradients) = (Vec::new(), Vec::new(), Vec::new());
    let mut weights = weights.map(|weights| weights.split(part, 0).into_iter());
    for ((read, taught), targets) in parts.zip(targets.split(part, 0)) {
        let weights = weights.as_mut().and_then(Iterator::next);
        let read = Tensor::<2>::from_inner(read).require_grad();
        let logits = model.logits_of(read.clone());
        let theirs = teacher.logits(taught, model.vocabulary_size());
        let losses = Losses::new(logits, targets, theirs, weights, teacher.temperature);
        let found = losses.weighted(weight).mul_scalar(scale * share).backward();
        gradients.extend(read.grad(&found));
        accumulator.accumulate(model, GradientsParams::from_grads(found, model));
        hard.push(losses.hard.inner());
        soft.push(losses.soft.inner());
    }
    features.backward(model, Tensor::cat(gradients, 0), &mut accumulator);

    let mean = |sums: Vec<Tensor<1>>| Tensor::cat(sums, 0).sum().mul_scalar(scale);
    let losses = Losses { hard: mean(hard), soft: mean(soft) };
    let output = TrainingOutput {
        loss: losses.weighted(weight),
        parts: Some([losses.hard, losses.soft]),
        state: state.map(State::detach),
        teacher_state: teacher_state.map(State::detach),
    };
    (output, accumulator.grads())
}

/// Sums over tokens, \[1\], each times its weight where they have some.
pub(super) struct Losses {
    /// The cross-entropy of the text.
    pub(super) hard: Tensor<1>,
    /// The divergence from the teacher times the temperature squared, so that its gradients are of the size of those of
    /// the other.
    pub(super) soft: Tensor<1>,
}

impl Losses {
    /// Of logits `[N, V]`, those of the teacher, `theirs`, and the weights of the tokens, which are without autodiff.
    pub(super) fn new(
        logits: Tensor<2>,
        targets: Tensor<1, Int>,
        theirs: Tensor<2>,
        weights: Option<Tensor<1>>,
        temperature: f64,
    ) -> Self {
        let theirs = theirs / temperature;
        let [p, ln_p] = [softmax(theirs.clone(), 1), log_softmax(theirs, 1)].map(Tensor::<2>::from_inner);
        let ln_q = log_softmax(logits.clone() / temperature, 1);
        let (divergence, hard) = (p.mul(ln_p.sub(ln_q)), cross_entropy(logits, targets));
        let [divergence, hard] = match weights.map(Tensor::<1>::from_inner) {
            Some(weights) => [divergence.sum_dim(1).squeeze_dim(1).mul(weights.clone()), hard.mul(weights)]
                .map(|losses| losses.sum()),
            None => [divergence.sum(), hard.sum()],
        };
        Self { hard, soft: divergence.mul_scalar(temperature.powi(2)) }
    }

    pub(super) fn weighted(&self, weight: f64) -> Tensor<1> {
        self.hard.clone().mul_scalar(1.0 - weight).add(self.soft.clone().mul_scalar(weight))
    }
}
