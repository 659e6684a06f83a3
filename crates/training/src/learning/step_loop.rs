//! The training loop, in steps.

use std::time::{Duration, Instant};

use burn::data::dataloader::{DataLoaderIterator, Progress};
use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{Device, Tensor};
use burn::train::{
    EventProcessorTraining, Interrupter, Learner, LearnerEvent, SupervisedLearningStrategy,
    SupervisedTrainingEventProcessor, TrainLoader, TrainStep, TrainingComponents, TrainingItem, ValidLoader,
};
use kiln_models::saved::{collect_tensors, state_tensors};
use kiln_models::{LanguageModel, RecurrentState, State};

use super::TrainError;
use super::dashboard::DashboardValues;
use super::launch::{Ended, Handover};
use super::model::{EvaluationOutput, TrainingInput, TrainingModel, TrainingOutput};
use super::observer::{Event, Observer, Stop};
use crate::averaging::Averaging;
use crate::batches::mix;
use crate::evaluation::{Evaluation, evaluate};
use crate::optimizers::{Optimizer, clip_coefficient, global_norm};
use crate::run::{
    Checkpoint, CheckpointError, EvaluationEntry, LoopState, MetricsLog, RunConfig, RunFolder, ScheduleEntry, StepEntry,
};
use crate::schedules::SharedSchedule;
use crate::shards::TokenFile;

/// What the loop works with, beside the model.
pub(super) struct LoopParts {
    pub(super) seed: u64,
    pub(super) device: Device,
    pub(super) run: RunConfig,
    pub(super) optimizer: Optimizer,
    pub(super) averaging: Averaging,
    pub(super) schedule: SharedSchedule,
    pub(super) validation: TokenFile,
    pub(super) folder: RunFolder,
    pub(super) log: MetricsLog,
    pub(super) observer: Box<dyn Observer>,
    pub(super) state: LoopState,
    /// The recurrent state after the last batch.
    pub(super) carried: Option<RecurrentState>,
    /// Whether batches carry it.
    pub(super) carries_state: bool,
}

/// Burn's training strategy that counts in steps: evaluates, samples and saves every so many updates, shows the loss to
/// the schedule, clips by the global norm, and is whole again after any checkpoint.
///
/// The [`Learner`] only brings the model: it copies all weights at each update and keeps its optimizer to itself, so the
/// loop moves the model through its own optimizer.
pub(super) struct StepLoop {
    parts: Handover<LoopParts>,
    end: Handover<Result<Ended, TrainError>>,
}

impl StepLoop {
    pub(super) fn new(parts: LoopParts) -> Self {
        Self { parts: Handover::new(Some(parts)), end: Handover::new(None) }
    }

    pub(super) fn take_end(&self) -> Option<Result<Ended, TrainError>> {
        self.end.take()
    }
}

impl SupervisedLearningStrategy<TrainingModel> for StepLoop {
    fn fit(
        &self,
        components: TrainingComponents<TrainingModel>,
        learner: Learner<TrainingModel>,
        train_loader: TrainLoader<TrainingModel>,
        valid_loader: ValidLoader<TrainingModel>,
        _starting_epoch: usize,
    ) -> (TrainingModel, SupervisedTrainingEventProcessor<TrainingModel>) {
        let model = learner.model();
        drop(learner);
        let Some(parts) = self.parts.take() else {
            return (model, components.event_processor);
        };
        let model = model.train();
        let mut session = Running::new(parts, model, valid_loader, components.event_processor, components.interrupter);
        let end = session.run(&mut *train_loader.iter());
        self.end.put(end);
        (TrainingModel { language_model: session.finished_model().train() }, session.events)
    }
}

/// A loop in motion.
struct Running {
    parts: LoopParts,
    model: TrainingModel,
    valid_loader: ValidLoader<TrainingModel>,
    events: SupervisedTrainingEventProcessor<TrainingModel>,
    interrupter: Interrupter,
    clock: Clock,
    evaluation: Option<Evaluation>,
    sample: Option<std::sync::Arc<str>>,
    saved_at: Option<u64>,
}

/// Where the time goes: training alone for the speed, everything for the time that remains.
struct Clock {
    started: Instant,
    first_step: u64,
    training: Duration,
    logged_tokens: u64,
}

type Batches<'a> = dyn DataLoaderIterator<TrainingInput> + 'a;

impl Running {
    fn new(
        parts: LoopParts,
        model: TrainingModel,
        valid_loader: ValidLoader<TrainingModel>,
        events: SupervisedTrainingEventProcessor<TrainingModel>,
        interrupter: Interrupter,
    ) -> Self {
        let clock = Clock {
            started: Instant::now(),
            first_step: parts.state.step,
            training: Duration::ZERO,
            logged_tokens: parts.state.tokens,
        };
        Self { parts, model, valid_loader, events, interrupter, clock, evaluation: None, sample: None, saved_at: None }
    }

    fn run(&mut self, batches: &mut Batches<'_>) -> Result<Ended, TrainError> {
        let (step, steps) = (self.parts.state.step, self.parts.run.steps);
        self.parts.observer.observe(Event::Started { step, steps });
        self.start_interval(step);
        while self.parts.state.step < steps && !self.interrupter.should_stop() {
            let entry = self.update(batches)?;
            self.report(&entry)?;
            let run = &self.parts.run;
            let (step, last) = (entry.step, entry.step == steps);
            let is_due = |every: u64| last || step % every == 0;
            let (evaluates, saves) = (is_due(run.evaluate_every), is_due(run.checkpoint_every));
            let samples = run.sample_every.is_some_and(is_due);
            if evaluates {
                self.evaluate()?;
            }
            if samples {
                self.sample();
            }
            if saves {
                self.save()?;
            }
            if evaluates && !last {
                self.start_interval(step);
            }
        }
        let step = self.parts.state.step;
        let stop = if step >= steps { Stop::Done } else { Stop::Interrupted(self.interrupter.get_message()) };
        // An error that burn-train noted goes before; what was trained so far is kept in any case.
        self.save()?;
        Ok(Ended { stop, step, evaluation: self.evaluation })
    }

    /// One update: gradients of some batches, their mean, checks, clipping, the rate, new weights.
    fn update(&mut self, batches: &mut Batches<'_>) -> Result<StepEntry, TrainError> {
        let started = Instant::now();
        let step = self.parts.state.step + 1;
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
        let scale = clip_coefficient(gradient_norm, self.parts.run.clip_norm);
        let learning_rate = {
            let mut schedule = self.parts.schedule.get();
            schedule.observe_training(loss);
            schedule.next_rate()
        };
        let language_model = self.model.language_model.clone();
        self.model.language_model = self.parts.optimizer.update(language_model, gradients, scale, learning_rate);
        self.parts.averaging.observe_update(&self.model.language_model, step);
        self.parts.state.step = step;
        self.parts.state.tokens += self.parts.run.tokens_per_step();
        self.clock.training += started.elapsed();
        let tokens = self.parts.state.tokens;
        let tokens_per_second = (tokens - self.clock.logged_tokens) as f64 / self.clock.training.as_secs_f64();
        Ok(StepEntry { step, tokens, train_loss: loss, learning_rate, gradient_norm, tokens_per_second })
    }

    /// Mean loss and mean gradients of the batches of one update.
    fn gradients(&mut self, batches: &mut Batches<'_>) -> Result<(Tensor<1>, GradientsParams), TrainError> {
        let count = self.parts.run.accumulate;
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

    /// Tells the dashboard each step, the log and the observer every `log-every` steps.
    fn report(&mut self, entry: &StepEntry) -> Result<(), TrainError> {
        let output = TrainingOutput {
            loss: Tensor::from_floats([entry.train_loss as f32], &Device::flex()),
            state: None,
            values: DashboardValues {
                gradient_norm: entry.gradient_norm,
                tokens_per_second: entry.tokens_per_second,
                valid_loss: 0.0,
                sample: self.sample.take(),
            },
        };
        let every = self.parts.run.evaluate_every;
        let done = ((entry.step - 1) % every + 1) as usize;
        let progress = Progress::new(done, self.interval_length(entry.step - 1), Some("steps".to_string()));
        let item = TrainingItem::new(output, progress, Some(entry.step as usize), Some(entry.learning_rate.into()));
        self.send_train(LearnerEvent::ProcessedItem(item));

        let (step, steps) = (entry.step, self.parts.run.steps);
        if step % self.parts.run.log_every == 0 || step == steps || step == self.clock.first_step + 1 {
            self.parts.log.append(entry)?;
            let made = step - self.clock.first_step;
            let pace = self.clock.started.elapsed().as_secs_f64() / made as f64;
            let remaining_seconds = pace * (steps - step) as f64;
            self.parts.observer.observe(Event::Step { entry, steps, remaining_seconds });
            self.clock.training = Duration::ZERO;
            self.clock.logged_tokens = entry.tokens;
        }
        Ok(())
    }

    /// Evaluates; the best evaluation of the run is saved at once.
    fn evaluate(&mut self) -> Result<(), TrainError> {
        let epoch = self.interval(self.parts.state.step - 1);
        let model = TrainingModel { language_model: self.finished_model() };
        let interrupter = self.interrupter.clone();
        let proceed = &mut |_| !interrupter.should_stop();
        let evaluation = evaluate(&model, &*self.valid_loader, &self.parts.validation, proceed)
            .map_err(|error| TrainError::Data(error.to_string()))?;
        let Some(evaluation) = evaluation else { return Ok(()) };
        if !evaluation.loss.is_finite() {
            let step = self.parts.state.step + 1;
            return Err(TrainError::Diverged { step, what: "validation loss", value: evaluation.loss });
        }
        let step = self.parts.state.step;
        let entry = EvaluationEntry {
            step,
            valid_loss: evaluation.loss,
            perplexity: evaluation.perplexity,
            bits_per_byte: evaluation.bits_per_byte,
            tokens: evaluation.tokens,
        };
        self.parts.schedule.get().observe_validation(evaluation.loss);
        self.parts.averaging.observe_validation(&self.model.language_model, evaluation.loss);
        self.evaluation = Some(evaluation);
        self.show_evaluation(epoch, evaluation.loss);
        self.parts.log.append(&entry)?;
        let best = self.parts.state.best.is_none_or(|best| evaluation.loss < best.loss);
        self.parts.observer.observe(Event::Evaluated {
            entry: &entry,
            nats_per_character: evaluation.nats_per_character,
            best,
        });
        if best {
            self.parts.state.best = Some(crate::run::Best { step, loss: evaluation.loss });
            self.save()?;
        }
        Ok(())
    }

    fn sample(&mut self) {
        let model = self.finished_model();
        let (step, tokens) = (self.parts.state.step, self.parts.run.sample_tokens);
        for prompt in &self.parts.run.prompts {
            match self.parts.observer.sample(&model, prompt, tokens) {
                Ok(text) => {
                    self.parts.observer.observe(Event::Sampled { step, prompt, text: &text });
                    self.sample = Some(text.into());
                }
                Err(message) => self.parts.observer.warn(&format!("no sample at step {step}: {message}")),
            }
        }
    }

    /// Writes a checkpoint of this step, unless there is one.
    fn save(&mut self) -> Result<(), TrainError> {
        let step = self.parts.state.step;
        if self.saved_at == Some(step) || (step == self.clock.first_step && step > 0) {
            return Ok(());
        }
        self.parts.state.schedule = ScheduleEntry(self.parts.schedule.get().state());
        self.parts.state.averaging = self.parts.averaging.state();
        let differs = self.parts.averaging.has_average() || self.parts.optimizer.has_evaluation_weights();
        let training_weights = differs.then(|| collect_tensors(&self.model.valid().language_model)).transpose();
        let checkpoint = Checkpoint {
            state: self.parts.state.clone(),
            optimizer: self.parts.optimizer.state(),
            training_weights: training_weights.map_err(CheckpointError::Saved)?,
            carried: self.parts.carried.as_ref().map(state_tensors),
        };
        let model = self.finished_model();
        let folder = self.parts.folder.save(&model, &checkpoint, self.parts.run.keep)?;
        self.saved_at = Some(step);
        self.parts.observer.observe(Event::Saved { step, folder: &folder });
        Ok(())
    }

    /// The model as it is evaluated, sampled and saved: without autodiff, and with averaged weights where there are such.
    fn finished_model(&self) -> LanguageModel {
        let model = self.model.language_model.valid();
        self.parts.averaging.applied(self.parts.optimizer.for_evaluation(model))
    }

    /// Which interval between two evaluations the update after `step` belongs to, from 1: the dashboard's epoch.
    fn interval(&self, step: u64) -> usize {
        (step / self.parts.run.evaluate_every + 1) as usize
    }

    /// The number of updates in the interval of the update after `step`.
    fn interval_length(&self, step: u64) -> usize {
        let every = self.parts.run.evaluate_every;
        let first = step / every * every;
        every.min(self.parts.run.steps - first) as usize
    }

    fn start_interval(&mut self, step: u64) {
        if step < self.parts.run.steps {
            let (epoch_number, total_items) = (self.interval(step), self.interval_length(step));
            self.send_train(LearnerEvent::StartSplit { epoch_number, total_items });
        }
    }

    fn show_evaluation(&mut self, epoch: usize, valid_loss: f64) {
        self.send_train(LearnerEvent::EndSplit(epoch));
        let output = EvaluationOutput {
            losses: Tensor::zeros([1], &Device::flex()),
            state: None,
            values: DashboardValues { valid_loss, ..DashboardValues::default() },
        };
        let item = TrainingItem::new(output, Progress::new(1, 1, None), Some(self.parts.state.step as usize), None);
        let events = [
            LearnerEvent::StartSplit { epoch_number: epoch, total_items: 1 },
            LearnerEvent::ProcessedItem(item),
            LearnerEvent::EndSplit(epoch),
        ];
        for event in events {
            self.interrupter.fail_on_error(self.events.process_valid(event));
        }
        self.send_train(LearnerEvent::EndEpoch(epoch));
    }

    fn send_train(&mut self, event: LearnerEvent<TrainingOutput>) {
        self.interrupter.fail_on_error(self.events.process_train(event));
    }
}

/// Two numbers from the device in one go, which waits for it only once.
fn read_both(first: Tensor<1>, second: Tensor<1>) -> Result<(f64, f64), TrainError> {
    let data =
        Tensor::cat(vec![first, second], 0).try_into_data().map_err(|error| TrainError::Learner(error.to_string()))?;
    let values: Vec<f64> = data.iter::<f64>().collect();
    Ok((values[0], values[1]))
}
