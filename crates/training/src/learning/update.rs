//! One update: batches to mean loss and gradients to checks to clipping to the rate to new weights.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use burn::data::dataloader::DataLoaderIterator;
use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{Tensor, TensorData};
use burn::train::{Interrupter, TrainStep};
use kiln_models::saved::{SavedModelError, collect_tensors};
use kiln_models::{LanguageModel, RecurrentState, State};

use super::TrainError;
use super::model::{TrainingInput, TrainingModel};
use crate::live_estimates::{NoiseMeasurement, PartNorm, sharpness};
use kiln_data::batches::mix;
use kiln_optimization::averaging::Averaging;
use kiln_optimization::optimizers::{Optimizer, clip_coefficient, global_norm};
use kiln_optimization::schedules::SharedSchedule;

/// The training batches, in order.
pub(super) type Batches<'a> = dyn DataLoaderIterator<TrainingInput> + 'a;

/// What updates need beside the model.
pub(super) struct UpdateParts {
    /// The seed of dropout.
    pub(super) seed: u64,
    /// Batches in an update.
    pub(super) accumulate: usize,
    /// The global gradient norm above which gradients are scaled down to it.
    pub(super) clip_norm: Option<f64>,
    pub(super) optimizer: Optimizer,
    /// What is evaluated and saved instead of the newest weights.
    pub(super) averaging: Averaging,
    pub(super) schedule: SharedSchedule,
    /// The recurrent state after the last batch.
    pub(super) carried: Option<RecurrentState>,
    /// Whether batches carry it.
    pub(super) carries_state: bool,
    /// Whoever stops the run; an update is then given up between two of its batches.
    pub(super) interrupter: Interrupter,
}

/// Makes updates, one after the other. It knows no folder, log or observer: whoever calls it does.
pub(super) struct Updater {
    /// The model, with autodiff; `None` only while an update moves it: the weights change in place if nobody else holds them.
    model: Option<TrainingModel>,
    pub(super) parts: UpdateParts,
}

/// What is measured in an update, beside what it needs.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Measure {
    /// The noise of the gradient. A single batch is then worked through in two halves, which may change the last bits of
    /// its gradient, and its dropout; several batches are worked through as ever.
    pub(super) noise: bool,
    /// The sharpness along the gradient; it changes nothing.
    pub(super) sharpness: bool,
}

/// What came of a step.
pub(super) enum Step {
    /// New weights.
    Made(Update),
    /// The same weights as before, because a number was not finite.
    Skipped(Fault),
    /// Nothing: the run is to stop. The step is to be made again, from its first batch.
    Abandoned,
}

/// A number that is not finite and should be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Fault {
    /// `loss`, `gradient norm` or `validation loss`.
    pub(super) what: &'static str,
    /// The number.
    pub(super) value: f64,
}

/// What one update was made of.
pub(super) struct Update {
    /// Mean loss of its batches before it, nats per token.
    pub(super) loss: f64,
    /// The global gradient norm before clipping.
    pub(super) gradient_norm: f64,
    /// The rate that the schedule gave.
    pub(super) learning_rate: f64,
    pub(super) noise: Option<NoiseMeasurement>,
    pub(super) sharpness: Option<f64>,
    /// The time that went into measuring alone.
    pub(super) measuring: Duration,
}

impl Updater {
    /// Updates of `model`, which is with autodiff.
    pub(super) fn new(model: TrainingModel, parts: UpdateParts) -> Self {
        Self { model: Some(model), parts }
    }

    pub(super) fn model(&self) -> &TrainingModel {
        let Some(model) = &self.model else { panic!("a model is there between updates") };
        model
    }

    /// Step number `step`, counted from 1: gradients of some batches, their mean, checks, clipping, the rate, new weights.
    ///
    /// Where the loss or the gradient is not finite, only the schedule moves on: weights, optimizer, averages and the
    /// recurrent state are as before.
    ///
    /// # Errors
    /// When the data cannot be read or the device fails.
    pub(super) fn update(
        &mut self,
        step: u64,
        batches: &mut Batches<'_>,
        measure: Measure,
    ) -> Result<Step, TrainError> {
        #[cfg(test)]
        let injected = super::injection::before(step, self);
        let carried = self.parts.carried.clone();
        let Some(mean) = self.work_through(step, batches, measure)? else {
            self.parts.carried = carried;
            return Ok(Step::Abandoned);
        };
        let Mean { loss, mut accumulator, parts, inputs } = mean;
        let gradients = accumulator.grads();
        #[cfg(test)]
        let (loss, gradients) = super::injection::after(injected, self.model(), loss, gradients);
        let numbers = Numbers::read(self.model(), loss, &gradients, &parts)?;
        if let Some(fault) = numbers.fault() {
            self.parts.carried = carried;
            self.parts.schedule.get().next_rate();
            return Ok(Step::Skipped(fault));
        }
        let Numbers { loss, gradient_norm, .. } = numbers;
        let started = Instant::now();
        let sharpness = if measure.sharpness { self.sharpness(&gradients, &inputs)? } else { None };
        let measuring = started.elapsed();
        let scale = clip_coefficient(gradient_norm, self.parts.clip_norm);
        let learning_rate = {
            let mut schedule = self.parts.schedule.get();
            schedule.observe_training(loss);
            schedule.next_rate()
        };
        if let Some(TrainingModel { language_model }) = self.model.take() {
            let language_model = self.parts.optimizer.update(language_model, gradients, scale, learning_rate);
            self.parts.averaging.observe_update(&language_model, step);
            self.model = Some(TrainingModel { language_model });
        }
        Ok(Step::Made(Update { loss, gradient_norm, learning_rate, noise: numbers.noise(), sharpness, measuring }))
    }

    /// Goes on with the weights of `model`, which is without autodiff.
    pub(super) fn replace_model(&mut self, model: LanguageModel) {
        self.model = Some(TrainingModel { language_model: model }.train());
    }

    /// Tells the schedule and the average a validation loss.
    pub(super) fn observe_validation(&mut self, loss: f64) {
        self.parts.schedule.get().observe_validation(loss);
        let language_model = self.model().language_model.clone();
        self.parts.averaging.observe_validation(&language_model, loss);
    }

    /// The model as it is evaluated, sampled and saved: without autodiff, and with averaged weights where there are such.
    pub(super) fn finished_model(&self) -> LanguageModel {
        let model = self.model().language_model.valid();
        self.parts.averaging.applied(self.parts.optimizer.for_evaluation(model))
    }

    /// The weights that training goes on from, where [`Updater::finished_model`] has others.
    ///
    /// # Errors
    /// When they cannot be read from the device.
    pub(super) fn training_weights(&self) -> Result<Option<BTreeMap<String, TensorData>>, SavedModelError> {
        let differs = self.parts.averaging.has_average() || self.parts.optimizer.has_evaluation_weights();
        differs.then(|| collect_tensors(&self.model().language_model.valid())).transpose()
    }

    /// Mean loss and mean gradients of the batches of one update, and what measurements need of them; `None` if the run is
    /// to stop.
    fn work_through(
        &mut self,
        step: u64,
        batches: &mut Batches<'_>,
        measure: Measure,
    ) -> Result<Option<Mean>, TrainError> {
        let count = self.parts.accumulate;
        let mut mean = Mean::default();
        for number in 0..count {
            if number > 0 && self.parts.interrupter.should_stop() {
                return Ok(None);
            }
            let ended = || TrainError::Learner("the training data ended before the last step".to_string());
            let mut input = batches.next().ok_or_else(ended)?.map_err(|error| TrainError::Data(error.to_string()))?;
            if self.parts.carries_state && input.batch.carries_state {
                input.state = self.parts.carried.take().map(State::Recurrent);
            }
            input.share = 1.0 / count as f64;
            // Dropout draws from the seed of its step and batch, so that a resumed run draws what it would have drawn.
            input.dropout_seed = Some(mix(mix(self.parts.seed, step), number as u64));
            let pieces = if measure.noise && count == 1 { input.halves() } else { vec![input] };
            let states: Vec<_> = pieces.into_iter().map(|piece| mean.add(self.model(), piece, measure)).collect();
            self.parts.carried = if self.parts.carries_state { joined(states) } else { None };
        }
        Ok(Some(mean))
    }

    /// The sharpness along `gradients`, from the gradients of the same inputs with the same dropout nearby.
    fn sharpness(&self, gradients: &GradientsParams, inputs: &[TrainingInput]) -> Result<Option<f64>, TrainError> {
        sharpness(self.model(), gradients, |model: &TrainingModel| {
            let mut mean = Mean::default();
            for input in inputs {
                mean.add(model, input.clone(), Measure::default());
            }
            Ok(mean.accumulator.grads())
        })
    }
}

/// Sums over the pieces of an update; each comes in with its share, so that the sums are means.
#[derive(Default)]
struct Mean {
    loss: Option<Tensor<1>>,
    accumulator: GradientsAccumulator<TrainingModel>,
    /// For the noise: windows and share of each piece, and the norm of its gradient times that share.
    parts: Vec<(usize, f64, Tensor<1>)>,
    /// For the sharpness: the pieces again.
    inputs: Vec<TrainingInput>,
}

impl Mean {
    /// Takes in a piece and gives the recurrent state after it.
    fn add(&mut self, model: &TrainingModel, input: TrainingInput, measure: Measure) -> Option<RecurrentState> {
        let (rows, share) = (input.batch.rows, input.share);
        if measure.sharpness {
            self.inputs.push(input.clone());
        }
        let output = TrainStep::step(model, input);
        let loss = output.item.loss.mul_scalar(share);
        if measure.noise
            && let Some(norm) = global_norm(model, &output.grads)
        {
            self.parts.push((rows, share, norm.0));
        }
        self.loss = Some(self.loss.take().map_or_else(|| loss.clone(), |mean| mean.add(loss.clone())));
        self.accumulator.accumulate(model, output.grads);
        match output.item.state {
            Some(State::Recurrent(state)) => Some(state),
            Some(State::Transformer(_)) | None => None,
        }
    }
}

/// The state of all rows from those of parts of them.
fn joined(states: Vec<Option<RecurrentState>>) -> Option<RecurrentState> {
    let states: Option<Vec<_>> = states.into_iter().collect();
    states?.into_iter().reduce(RecurrentState::joined)
}

/// What an update needs to know on the host.
struct Numbers {
    loss: f64,
    gradient_norm: f64,
    parts: Vec<PartNorm>,
}

impl Numbers {
    /// Reads all numbers from the device in one go, which waits for it only once.
    fn read(
        model: &TrainingModel,
        loss: Option<Tensor<1>>,
        gradients: &GradientsParams,
        parts: &[(usize, f64, Tensor<1>)],
    ) -> Result<Self, TrainError> {
        let loss = loss.ok_or_else(|| TrainError::Learner("no batch".to_string()))?;
        let norm = global_norm(model, gradients).map_or_else(|| loss.zeros_like(), |norm| norm.0);
        let norms = parts.iter().map(|(.., norm)| norm.clone());
        let tensors: Vec<Tensor<1>> = [loss, norm].into_iter().chain(norms).collect();
        let values: Vec<f64> = Tensor::cat(tensors, 0).try_into_data()?.iter::<f64>().collect();
        // The gradient of a part came in multiplied by its share of the update.
        let squared = |value: f64, share: f64| (value / share).powi(2);
        let parts = parts.iter().zip(&values[2..]);
        let parts =
            parts.map(|((windows, share, _), value)| PartNorm { windows: *windows, squared: squared(*value, *share) });
        Ok(Self { loss: values[0], gradient_norm: values[1], parts: parts.collect() })
    }

    /// The first of the numbers that weights depend on and that is not finite.
    fn fault(&self) -> Option<Fault> {
        let numbers = [("loss", self.loss), ("gradient norm", self.gradient_norm)];
        let fault = numbers.into_iter().find(|(_, value)| !value.is_finite());
        fault.map(|(what, value)| Fault { what, value })
    }

    fn noise(&self) -> Option<NoiseMeasurement> {
        NoiseMeasurement::new(&self.parts, self.gradient_norm.powi(2))
    }
}
