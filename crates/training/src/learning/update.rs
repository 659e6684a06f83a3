//! One update: batches to mean loss and gradients to checks to clipping to the rate to new weights.

use std::time::{Duration, Instant};

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::Device;
use kiln_kernels::{is_gpu, mixed_precision_lacks, set_matrix_precision};
use kiln_models::{LanguageModel, State};

use super::error::{Fault, TrainError};
use super::faults::{Faults, NoFaults};
use super::gradients::{Mean, Measure, QueuedNumbers};
use super::loss::{Teaching, TrainingInput};
use super::pending::Pending;
use super::reading_ahead::ReadingAhead;
use super::teacher::Teacher;
use crate::config::{Config, DpoConfig, Precision, PreferenceConfig};
use crate::gradient_measurements::sharpness;
use crate::parts::Parts;
use kiln_data::batches::{BatchOrder, Batches, PairIndex, PairOrder, mix};
use kiln_data::shards::TokenFile;
use kiln_optimization::averaging::Averaging;
use kiln_optimization::optimizers::{GradientScale, Optimizer, StateBits, clip_coefficient};
use kiln_optimization::schedules::Schedule;
use kiln_parameters::{Zeros, catalogue};

/// Makes updates, one after the other. It knows no folder, log or observer.
pub(super) struct Updater {
    /// The model, with autodiff; `None` only while an update moves it: weights change in place if nothing else holds
    /// them.
    model: Option<LanguageModel>,
    /// The training batches by number.
    batches: ReadingAhead,
    /// The seed of dropout.
    seed: u64,
    /// How much of each label is spread over all tokens.
    label_smoothing: f64,
    /// Batches in an update.
    pub(super) accumulate: u64,
    /// The global gradient norm above which gradients are scaled down to it.
    clip_norm: Option<f64>,
    pub(super) optimizer: Optimizer,
    /// What is evaluated and saved instead of the newest weights.
    pub(super) averaging: Averaging,
    pub(super) schedule: Box<dyn Schedule>,
    /// The recurrent state after the last batch.
    pub(super) carried: Option<State>,
    /// Whether batches carry it.
    pub(super) carries_state: bool,
    /// What is learned from beside the text.
    teacher: Option<Teacher>,
    /// Its recurrent state after the last batch.
    pub(super) teacher_carried: Option<State>,
    /// How preferences are learned.
    pub(super) preference: Option<DpoConfig>,
    /// What is trained, and how fast.
    pub(super) parts: Parts,
    /// What of it the model's parameters say; `None` if all.
    stage: Option<usize>,
    /// Whether layers are computed again for the backward pass.
    recompute: bool,
    /// Whether numbers of matrices that are exactly zero stay so.
    keep_zeros: bool,
    pub(super) faults: Box<dyn Faults>,
    /// Whether the host learns the numbers of an update after it handed the device the next one: on GPUs. On a CPU,
    /// which computes whatever it is asked for at once, tests alone want it.
    pub(super) delays: bool,
}

/// What came of a step.
pub(super) enum Step {
    /// New weights.
    Made(Update),
    /// The same weights as before, because a number was not finite.
    Skipped(Fault),
}

/// What one update was made of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Update {
    /// Mean loss of its batches before it, nats per token that counts.
    pub loss: f64,
    /// With a teacher: the cross-entropy of the text, and the divergence times the temperature squared. Of preferences:
    /// the mean margin, and the share of pairs whose chosen answer is preferred.
    pub losses: Option<[f64; 2]>,
    /// The global gradient norm before clipping.
    pub gradient_norm: f64,
    /// The rate that the schedule gave.
    pub learning_rate: f64,
    pub(super) noise: Option<crate::gradient_measurements::NoiseMeasurement>,
    pub(super) sharpness: Option<f64>,
    /// The time that went into measuring alone.
    pub(super) measuring: Duration,
    /// Targets that counted.
    pub tokens: u64,
}

/// Whether the device has what the configuration needs.
///
/// # Errors
/// [`TrainError::NoMixedPrecision`] where it lacks the units for `run.precision = "mixed"`.
pub fn check_device(config: &Config, device: &Device) -> Result<(), TrainError> {
    if config.run.optimizer_state == StateBits::Eight && is_gpu(device) {
        return Err(TrainError::StateOnGpu);
    }
    match config.run.precision {
        Precision::F32 => Ok(()),
        Precision::Mixed => {
            mixed_precision_lacks(device).map_or(Ok(()), |lack| Err(TrainError::NoMixedPrecision(lack)))
        }
    }
}

impl Updater {
    /// Updates of `model`, which is without autodiff, on the training split `train`, as `config` says.
    ///
    /// # Errors
    /// When the text is too short for a batch, the device lacks what `run.precision` needs, or the configuration names
    /// parameters that the model doesn't have.
    pub(super) fn new(config: &Config, model: LanguageModel, train: TokenFile) -> Result<Self, TrainError> {
        let parts = Parts::new(config, &catalogue(&model))?;
        let run = &config.run;
        check_device(config, &model.device())?;
        set_matrix_precision(run.precision.into());
        let preference = config.preference.as_ref().map(PreferenceConfig::dpo);
        if preference.is_some() != train.has_references() {
            return Err(TrainError::NoReferences);
        }
        let examples = if config.model.reads_pairs() {
            let index = PairIndex::new(&train, run.context, "training")?;
            Batches::Pairs(PairOrder::new(index, run.budget(), config.seed))
        } else {
            Batches::Windows(BatchOrder::new(train, run.windows, run.batch, run.context, config.seed)?)
        };
        let delays = is_gpu(&model.device());
        Ok(Self {
            batches: ReadingAhead::new(examples, delays),
            seed: config.seed,
            label_smoothing: run.label_smoothing,
            accumulate: run.accumulate as u64,
            clip_norm: run.clip_norm,
            optimizer: config
                .optimizer
                .build_with(run.optimizer_state)
                .with_factors(parts.factors().clone())
                .with_births(parts.later().clone()),
            averaging: Averaging::new(config.averaging.as_ref()),
            schedule: config.schedule.build(run.steps),
            carried: None,
            carries_state: run.carries_state(&model),
            faults: Box::new(NoFaults),
            delays,
            teacher: None,
            teacher_carried: None,
            preference,
            recompute: run.recompute,
            keep_zeros: config.start.as_ref().is_some_and(|start| start.keep_zeros),
            model: Some(parts.trained(model)),
            stage: None,
            parts,
        })
    }

    /// The same, learning from a teacher too.
    pub(super) fn with_teacher(mut self, teacher: Option<Teacher>) -> Self {
        self.teacher = teacher;
        self
    }

    /// The model that is trained, with autodiff.
    pub(super) fn model(&self) -> &LanguageModel {
        let Some(model) = &self.model else { panic!("there is a model between updates") };
        model
    }

    /// The teacher's state before the first token, if there is a teacher that has one.
    pub(super) fn teacher_state(&self, rows: usize) -> Option<State> {
        self.teacher.as_ref()?.initial_state(rows)
    }

    /// Continues with the weights of `model`, which is without autodiff.
    pub(super) fn replace_model(&mut self, model: LanguageModel) {
        self.model = Some(self.parts.trained(model));
        self.stage = None;
    }

    /// Freezes what isn't trained yet in the update `step`.
    fn enter_stage(&mut self, step: u64) {
        let stage = Some(self.parts.stage(step));
        if !self.parts.later().is_empty()
            && self.stage != stage
            && let Some(model) = self.model.take()
        {
            self.model = Some(self.parts.trained_in(model.valid(), step));
            self.stage = stage;
        }
    }

    /// Makes step number `step`, counted from 1, and waits for its numbers; see [`Updater::begin`].
    ///
    /// # Errors
    /// When the data cannot be read or the device fails.
    pub(super) fn update(&mut self, step: u64, first_batch: u64, measure: Measure) -> Result<Step, TrainError> {
        let pending = self.begin(step, first_batch, measure, None, &|| false)?.ok_or(TrainError::NoBatch)?;
        Ok(self.finish(pending, None)?.0)
    }

    /// Hands step number `step`, counted from 1, to the device: gradients of the batches from number `first_batch` on,
    /// their mean, checks, clipping, the rate, new weights. Another one may be `on_its_way`, unless this one
    /// [waits](Self::waits). `should_stop` is asked between two batches; `None` if it says so.
    ///
    /// If the loss or the gradient is not finite, only the schedule moves on: weights, optimizer, averages and the
    /// recurrent state stay as they were, or become that again in [`Updater::finish`].
    ///
    /// # Errors
    /// When the data cannot be read or the device fails.
    pub(super) fn begin(
        &mut self,
        step: u64,
        first_batch: u64,
        measure: Measure,
        on_its_way: Option<&Pending>,
        should_stop: &dyn Fn() -> bool,
    ) -> Result<Option<Pending>, TrainError> {
        self.enter_stage(step);
        if let Some(model) = &mut self.model {
            self.faults.before_update(step, model, &mut self.carried);
        }
        let mut before = self.before();
        let Some(mut mean) = self.work_through(step, first_batch, measure, should_stop)? else {
            self.take_back_states(&mut before);
            return Ok(None);
        };
        let loss = mean.loss.take().ok_or(TrainError::NoBatch)?;
        let gradients = mean.gradients();
        let Some(model) = &self.model else { panic!("there is a model between updates") };
        let (loss, gradients) = self.faults.after_backward(model, loss, gradients);
        let queued = QueuedNumbers::new(model, loss, &gradients, &mut mean);
        let earlier = on_its_way.and_then(|earlier| earlier.guard.as_ref());
        let guard = self.delays.then(|| queued.guard(self.clip_norm, earlier));
        let mut pending = Pending {
            step,
            numbers: queued.read(),
            guard,
            learning_rate: 0.0,
            sharpness: None,
            measuring: Duration::ZERO,
            tokens: mean.counted,
            before,
        };
        if self.waits(measure) && !self.decide(&mut pending, measure, &gradients, &mean.inputs)? {
            self.schedule.next_rate();
            return Ok(Some(pending));
        }
        pending.learning_rate = self.schedule.next_rate();
        self.move_weights(&mut pending, gradients)?;
        Ok(Some(pending))
    }

    /// Whether the host has to know the numbers of an update before it goes on.
    pub(super) fn waits(&self, measure: Measure) -> bool {
        !self.delays || measure.sharpness || self.schedule.observes_training()
    }

    /// Waits for the numbers of an update whose gradients these are, of these inputs; if they are finite, measures the
    /// sharpness and shows the loss to the schedule. Whether they are.
    fn decide(
        &mut self,
        pending: &mut Pending,
        measure: Measure,
        gradients: &GradientsParams,
        inputs: &[TrainingInput],
    ) -> Result<bool, TrainError> {
        let numbers = pending.numbers.wait()?;
        if numbers.fault().is_some() {
            return Ok(false);
        }
        let loss = numbers.loss;
        if measure.sharpness {
            let started = Instant::now();
            pending.sharpness = self.sharpness(gradients, inputs)?;
            pending.measuring = started.elapsed();
        }
        self.schedule.observe_training(loss);
        Ok(true)
    }

    /// New weights, and the average of them, unless the device decides otherwise.
    fn move_weights(&mut self, pending: &mut Pending, gradients: GradientsParams) -> Result<(), TrainError> {
        let scale = match &pending.guard {
            Some(guard) => GradientScale::from(guard.clone()),
            // The host has waited for the numbers.
            None => clip_coefficient(pending.numbers.wait()?.gradient_norm, self.clip_norm).into(),
        };
        if let Some(model) = self.model.take() {
            let zeros = self.keep_zeros.then(|| Zeros::of(&model));
            let mut model = self.optimizer.update(model, gradients, scale.clone(), pending.learning_rate);
            if let Some(zeros) = zeros {
                model = zeros.kept(model);
            }
            self.averaging.observe_update(&model, pending.step, &scale);
            self.model = Some(model);
        }
        Ok(())
    }

    /// Shows the schedule and the average a validation loss.
    pub(super) fn observe_validation(&mut self, loss: f64) {
        self.schedule.observe_validation(loss);
        let model = self.model().clone();
        self.averaging.observe_validation(&model, loss);
    }

    /// The model as it is evaluated, sampled and saved: without autodiff, and with averaged weights if there are any.
    pub(super) fn finished_model(&self) -> LanguageModel {
        self.averaging.applied(self.optimizer.for_evaluation(self.model().valid()))
    }

    /// The model that training continues from, without autodiff, if [`Updater::finished_model`] has other weights.
    pub(super) fn unfinished_model(&self) -> Option<LanguageModel> {
        let differs = self.averaging.has_average() || self.optimizer.has_evaluation_weights();
        differs.then(|| self.model().valid())
    }

    /// Mean loss and mean gradients of the batches of one update, and what measurements need of them; `None` if the run
    /// is to stop.
    fn work_through(
        &mut self,
        step: u64,
        first_batch: u64,
        measure: Measure,
        should_stop: &dyn Fn() -> bool,
    ) -> Result<Option<Mean>, TrainError> {
        let numbers = first_batch..first_batch + self.accumulate;
        let batches = numbers.map(|number| self.batches.read(number)).collect::<Result<Vec<_>, _>>()?;
        let (counted, terms) =
            batches.iter().fold((0, 0), |(counted, terms), batch| (counted + batch.counted(), terms + batch.terms()));
        let mut mean = Mean::new(self.keep_zeros);
        mean.counted = counted;
        for (number, batch) in (0..).zip(batches) {
            if number > 0 && should_stop() {
                return Ok(None);
            }
            let mut input = TrainingInput::new(batch);
            if self.carries_state && input.batch.carries_state() {
                input.state = self.carried.take();
            }
            if let Some(teacher) = self.teacher.clone() {
                let state = self.teacher_carried.take().filter(|_| input.batch.carries_state());
                input.teaching = Some(Teaching { teacher, state });
            }
            input.share = input.batch.terms() as f64 / terms as f64;
            input.preference = self.preference;
            input.label_smoothing = self.label_smoothing;
            input.recompute = self.recompute;
            // Dropout draws from the seed of its step and batch, so that a resumed run draws what it would have drawn.
            input.dropout_seed = Some(mix(mix(self.seed, step), number));
            let pieces = if measure.noise && self.accumulate == 1 { input.halves() } else { vec![input] };
            let (mut states, mut of_teacher) = (Vec::new(), Vec::new());
            for piece in pieces {
                let [state, teacher_state] = mean.add(self.model(), piece, measure);
                states.push(state);
                of_teacher.push(teacher_state);
            }
            self.carried = if self.carries_state { joined(states) } else { None };
            self.teacher_carried = if self.carries_state { joined(of_teacher) } else { None };
        }
        Ok(Some(mean))
    }

    /// The sharpness along `gradients`, from the gradients of the same inputs with the same dropout nearby.
    fn sharpness(&self, gradients: &GradientsParams, inputs: &[TrainingInput]) -> Result<Option<f64>, TrainError> {
        sharpness(self.model(), gradients, |model: &LanguageModel| {
            let mut mean = Mean::new(self.keep_zeros);
            for input in inputs {
                mean.add(model, input.clone(), Measure::default());
            }
            Ok(mean.gradients())
        })
    }
}

/// The state of all rows from those of parts of them.
fn joined(states: Vec<Option<State>>) -> Option<State> {
    let states: Option<Vec<_>> = states.into_iter().collect();
    states?.into_iter().reduce(State::joined)
}
