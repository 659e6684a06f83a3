//! One batch: tokens to loss to gradients.

use burn::optim::GradientsParams;
use burn::tensor::{Device, Int, Tensor, TensorData};
use kiln_kernels::Draws;
use kiln_models::{LanguageModel, State};

use kiln_data::batches::{HostBatch, mix};

/// A batch, and the recurrent state before it.
#[derive(Clone)]
pub struct TrainingInput {
    /// The token windows.
    pub batch: HostBatch,
    /// The state after the previous batch, if the order of the batches carries it.
    pub state: Option<State>,
    /// What the loss is multiplied by before it is differentiated: 1 / (batches in an update).
    pub share: f64,
    /// The seed of dropout; `None` drops nothing.
    pub dropout_seed: Option<u64>,
}

impl TrainingInput {
    /// A batch that starts cold and makes an update alone, without dropout.
    pub fn new(batch: HostBatch) -> Self {
        Self { batch, state: None, share: 1.0, dropout_seed: None }
    }

    /// The first half of the rows and the others, each with its part of the state and of the share. Their losses and
    /// gradients add up to those of the whole, except for dropout, which draws anew, and rounding.
    ///
    /// A batch of one row stays whole.
    pub(super) fn halves(self) -> Vec<Self> {
        let Self { batch, state, share, dropout_seed } = self;
        let (rows, first) = (batch.rows, batch.rows / 2);
        if first == 0 {
            return vec![Self { batch, state, share, dropout_seed }];
        }
        let state_of = |start: usize, end: usize| {
            let part: Vec<usize> = (start..end).collect();
            state.as_ref().map(|state| state.take_rows(&part))
        };
        let share_of = |part: usize| share * part as f64 / rows as f64;
        let (upper, lower) = batch.split(first);
        // With one seed both halves would drop the same, and their gradients would not be independent.
        let other_seed = dropout_seed.map(|seed| mix(seed, 1));
        vec![
            Self { state: state_of(0, first), share: share_of(upper.rows), batch: upper, dropout_seed },
            Self { state: state_of(first, rows), share: share_of(lower.rows), batch: lower, dropout_seed: other_seed },
        ]
    }
}

/// What a training step gives beside the gradients.
pub struct TrainingOutput {
    /// Mean cross-entropy, nats per token, \[1\].
    pub loss: Tensor<1>,
    /// The state after the batch, cut off from the graph.
    pub state: Option<State>,
}

/// The loss of a batch and the gradients of `input.share` times it; `model` is with autodiff.
pub fn training_step(model: &LanguageModel, input: TrainingInput) -> (TrainingOutput, GradientsParams) {
    let share = input.share;
    let (loss, state) = training_loss(model, input);
    let gradients = if share == 1.0 { loss.backward() } else { loss.clone().mul_scalar(share).backward() };
    let output = TrainingOutput { loss: loss.inner(), state: state.map(State::detach) };
    (output, GradientsParams::from_grads(gradients, model))
}

/// The mean loss of a batch, not yet multiplied by its share, \[1\], and the state after it; `model` is with autodiff.
pub fn training_loss(model: &LanguageModel, input: TrainingInput) -> (Tensor<1>, Option<State>) {
    let TrainingInput { batch, state, dropout_seed, .. } = input;
    let (shape, device) = ([batch.rows, batch.columns], model.device());
    let [tokens, targets] = uploaded(batch.inputs, batch.targets, shape, &device);
    let mut draws = dropout_seed.map_or_else(Draws::none, Draws::from_seed);
    let (losses, state) = model.losses_of_documents(tokens, targets, state, &batch.document_starts, &mut draws);
    (losses.mean(), state)
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
