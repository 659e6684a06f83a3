//! A language model as burn-train's learner sees it.

use burn::module::Module;
use burn::tensor::{Device, ExecutionError, Int, Tensor, TensorData};
use burn::train::metric::{Adaptor, LossInput};
use burn::train::{InferenceStep, ItemLazy, TrainOutput, TrainStep};
use kiln_kernels::Draws;
use kiln_models::{LanguageModel, State};

use super::dashboard::DashboardValues;
use kiln_data::batches::{EvaluationBatch, HostBatch, mix};

/// A language model with the loss that it is trained on: mean cross-entropy in nats per token.
#[derive(Module, Debug)]
pub struct TrainingModel {
    /// The model itself.
    pub language_model: LanguageModel,
}

/// A batch, and the recurrent state that it goes on from.
#[derive(Clone)]
pub struct TrainingInput {
    /// The token windows.
    pub batch: HostBatch,
    /// The state after the batch before, where the order of the batches carries it.
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
    /// gradients add up to those of the whole, but for dropout, which draws anew, and rounding.
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
    /// Mean loss, nats per token, \[1\].
    pub loss: Tensor<1>,
    /// The state after the batch, cut off from the graph.
    pub state: Option<State>,
    /// What the dashboard shows; filled in by the loop.
    pub values: DashboardValues,
}

/// A batch of an evaluation, and the state that it goes on from.
pub struct EvaluationInput {
    /// The token windows with their weights.
    pub batch: EvaluationBatch,
    /// The state after the batch before.
    pub state: Option<State>,
}

impl EvaluationInput {
    /// A batch that starts cold.
    pub fn new(batch: EvaluationBatch) -> Self {
        Self { batch, state: None }
    }
}

/// What an evaluation step gives.
pub struct EvaluationOutput {
    /// Loss of every token, counted or not, nats, [rows * columns].
    pub losses: Tensor<1>,
    /// The state after the batch.
    pub state: Option<State>,
    /// What the dashboard shows; filled in by the loop.
    pub values: DashboardValues,
}

impl TrainStep for TrainingModel {
    type Input = TrainingInput;
    type Output = TrainingOutput;

    fn step(&self, input: TrainingInput) -> TrainOutput<TrainingOutput> {
        let TrainingInput { batch, state, share, dropout_seed } = input;
        let device = self.language_model.device();
        let tokens = tokens(batch.inputs, [batch.rows, batch.columns], &device);
        let targets = tokens_like(batch.targets, &tokens);
        let mut draws = dropout_seed.map_or_else(Draws::none, Draws::from_seed);
        let (losses, state) = self.language_model.losses(tokens, targets, state, &mut draws);
        let loss = losses.mean();
        let gradients = if share == 1.0 { loss.backward() } else { loss.clone().mul_scalar(share).backward() };
        let output =
            TrainingOutput { loss: loss.inner(), state: state.map(State::detach), values: DashboardValues::default() };
        TrainOutput::new(self, gradients, output)
    }
}

impl InferenceStep for TrainingModel {
    type Input = EvaluationInput;
    type Output = EvaluationOutput;

    fn step(&self, input: EvaluationInput) -> EvaluationOutput {
        let EvaluationInput { batch, state } = input;
        let device = self.language_model.device();
        let tokens = tokens(batch.inputs, [batch.rows, batch.columns], &device);
        let targets = tokens_like(batch.targets, &tokens);
        let [rows, columns] = tokens.dims();
        let (losses, state) = self.language_model.losses(tokens, targets, state, &mut Draws::none());
        EvaluationOutput { losses: losses.reshape([rows * columns]), state, values: DashboardValues::default() }
    }
}

fn tokens(ids: Vec<i32>, shape: [usize; 2], device: &Device) -> Tensor<2, Int> {
    Tensor::from_data(TensorData::new(ids, shape), device)
}

fn tokens_like(ids: Vec<i32>, other: &Tensor<2, Int>) -> Tensor<2, Int> {
    tokens(ids, other.dims(), &other.device())
}

impl ItemLazy for TrainingOutput {
    /// The loop has read all that the dashboard needs.
    fn sync(self) -> Result<Self, ExecutionError> {
        Ok(self)
    }
}

impl ItemLazy for EvaluationOutput {
    fn sync(self) -> Result<Self, ExecutionError> {
        Ok(self)
    }
}

impl Adaptor<LossInput> for TrainingOutput {
    fn adapt(&self) -> LossInput {
        LossInput::new(self.loss.clone())
    }
}

impl Adaptor<DashboardValues> for TrainingOutput {
    fn adapt(&self) -> DashboardValues {
        self.values.clone()
    }
}

impl Adaptor<DashboardValues> for EvaluationOutput {
    fn adapt(&self) -> DashboardValues {
        self.values.clone()
    }
}
