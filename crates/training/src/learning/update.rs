//! One update: batches to mean loss and gradients to checks to clipping to the rate to new weights.

use burn::data::dataloader::DataLoaderIterator;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{Device, Tensor};
use burn::train::TrainStep;
use kiln_models::{RecurrentState, State};

use super::TrainError;
use super::model::{TrainingInput, TrainingModel};
use crate::batches::mix;
use crate::optimizers::{Optimizer, clip_coefficient, global_norm};
use crate::schedules::SharedSchedule;

/// The training batches, in order.
pub(super) type Batches<'a> = dyn DataLoaderIterator<TrainingInput> + 'a;

/// What updates need beside the model.
pub(super) struct UpdateParts {
    /// The seed of dropout.
    pub(super) seed: u64,
    /// The device, without autodiff.
    pub(super) device: Device,
    /// Batches in an update.
    pub(super) accumulate: usize,
    /// The global gradient norm above which gradients are scaled down to it.
    pub(super) clip_norm: Option<f64>,
    pub(super) optimizer: Optimizer,
    pub(super) schedule: SharedSchedule,
    /// The recurrent state after the last batch.
    pub(super) carried: Option<RecurrentState>,
    /// Whether batches carry it.
    pub(super) carries_state: bool,
}

/// Makes updates, one after the other. It knows no folder, log or observer: whoever calls it does.
pub(super) struct Updater {
    /// The model, with autodiff.
    pub(super) model: TrainingModel,
    pub(super) parts: UpdateParts,
}

/// What one update was made of.
pub(super) struct Update {
    /// Mean loss of its batches before it, nats per token.
    pub(super) loss: f64,
    /// The global gradient norm before clipping.
    pub(super) gradient_norm: f64,
    /// The rate that the schedule gave.
    pub(super) learning_rate: f64,
}

impl Updater {
    /// Update number `step`, counted from 1: gradients of some batches, their mean, checks, clipping, the rate, new weights.
    ///
    /// # Errors
    /// When the data cannot be read, or when the loss or the gradient is not finite; the weights are then as before.
    pub(super) fn update(&mut self, step: u64, batches: &mut Batches<'_>) -> Result<Update, TrainError> {
        // Dropout draws from the seed of its step, so that a resumed run draws what it would have drawn.
        self.parts.device.seed(mix(self.parts.seed, step));
        let (loss, gradients) = self.gradients(batches)?;
        let norm = global_norm(&self.model, &gradients).map_or_else(|| loss.zeros_like(), |norm| norm.0);
        let (loss, gradient_norm) = read_both(loss, norm)?;
        for (what, value) in [("loss", loss), ("gradient norm", gradient_norm)] {
            if !value.is_finite() {
                return Err(TrainError::Diverged { step, what, value });
            }
        }
        let scale = clip_coefficient(gradient_norm, self.parts.clip_norm);
        let learning_rate = {
            let mut schedule = self.parts.schedule.get();
            schedule.observe_training(loss);
            schedule.next_rate()
        };
        let language_model = self.model.language_model.clone();
        self.model.language_model = self.parts.optimizer.update(language_model, gradients, scale, learning_rate);
        Ok(Update { loss, gradient_norm, learning_rate })
    }

    /// Mean loss and mean gradients of the batches of one update.
    fn gradients(&mut self, batches: &mut Batches<'_>) -> Result<(Tensor<1>, GradientsParams), TrainError> {
        let count = self.parts.accumulate;
        let share = 1.0 / count as f64;
        let mut accumulator = GradientsAccumulator::new();
        let mut mean: Option<Tensor<1>> = None;
        for _ in 0..count {
            let ended = || TrainError::Learner("the training data ended before the last step".to_string());
            let mut input = batches.next().ok_or_else(ended)?.map_err(|error| TrainError::Data(error.to_string()))?;
            if self.parts.carries_state && input.batch.carries_state {
                input.state = self.parts.carried.take().map(State::Recurrent);
            }
            input.share = share;
            let output = TrainStep::step(&self.model, input);
            self.parts.carried = match output.item.state {
                Some(State::Recurrent(state)) if self.parts.carries_state => Some(state),
                _ => None,
            };
            let loss = output.item.loss.mul_scalar(share);
            mean = Some(mean.map_or_else(|| loss.clone(), |mean| mean.add(loss.clone())));
            if count == 1 {
                return Ok((loss, output.grads));
            }
            accumulator.accumulate(&self.model, output.grads);
        }
        mean.map(|mean| (mean, accumulator.grads())).ok_or_else(|| TrainError::Learner("no batch".to_string()))
    }
}

/// Two numbers from the device in one go, which waits for it only once.
fn read_both(first: Tensor<1>, second: Tensor<1>) -> Result<(f64, f64), TrainError> {
    let data =
        Tensor::cat(vec![first, second], 0).try_into_data().map_err(|error| TrainError::Learner(error.to_string()))?;
    let values: Vec<f64> = data.iter::<f64>().collect();
    Ok((values[0], values[1]))
}
