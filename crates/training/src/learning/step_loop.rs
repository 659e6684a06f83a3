//! The training loop, in steps.

mod recovery;
mod saving;
mod telling;

use std::sync::Arc;
use std::time::{Duration, Instant};

use burn::module::Module;
use burn::tensor::Device;
use burn::train::{
    Interrupter, Learner, SupervisedLearningStrategy, SupervisedTrainingEventProcessor, TrainLoader,
    TrainingComponents, ValidLoader,
};

use super::TrainError;
use super::launch::{Ended, Handover};
use super::model::TrainingModel;
use super::observer::{Event, Observer, Stop};
use super::update::{Batches, Fault, Measure, Step, UpdateParts, Updater};
use crate::config::RunConfig;
use crate::evaluation::{Evaluation, evaluate};
use crate::live_estimates::EstimatesConfig;
use crate::run::{CheckpointError, EvaluationEntry, LoopState, MetricsLog, RunFolder, Saver, StepEntry};
use kiln_data::shards::TokenFile;

/// What the loop works with, beside the model.
pub(super) struct LoopParts {
    pub(super) update: UpdateParts,
    pub(super) run: RunConfig,
    pub(super) estimates: EstimatesConfig,
    pub(super) validation: TokenFile,
    pub(super) folder: RunFolder,
    pub(super) log: MetricsLog,
    pub(super) observer: Box<dyn Observer>,
    pub(super) state: LoopState,
    /// Without autodiff.
    pub(super) device: Device,
    pub(super) stop_after: Option<u64>,
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
        let Some(LoopParts { update, run, estimates, validation, folder, log, observer, state, device, stop_after }) =
            self.parts.take()
        else {
            return (model, components.event_processor);
        };
        let (folder, keep) = (Arc::new(folder), run.keep);
        let saved = (state.step > 0).then_some((state.step, state.evaluated));
        let mut session = Running {
            updater: Updater::new(model.train(), update),
            clock: Clock::starting(&state),
            run,
            estimates,
            validation,
            saver: Saver::new(folder.clone(), keep),
            saving: Duration::ZERO,
            folder,
            log,
            observer,
            state,
            device,
            stop_after,
            valid_loader,
            events: components.event_processor,
            interrupter: components.interrupter,
            evaluation: None,
            sample: None,
            saved,
            unsaved: None,
            log_fails: false,
            fault: None,
        };
        let end = session.run(&train_loader);
        // What was begun before an error is on the disk before anybody hears of the error.
        let settled = session.settle();
        let end = end.and_then(|ended| settled.map(|()| ended));
        self.end.put(end);
        (TrainingModel { language_model: session.updater.finished_model().train() }, session.events)
    }
}

/// A loop in motion.
struct Running {
    updater: Updater,
    run: RunConfig,
    estimates: EstimatesConfig,
    validation: TokenFile,
    folder: Arc<RunFolder>,
    log: MetricsLog,
    observer: Box<dyn Observer>,
    state: LoopState,
    device: Device,
    stop_after: Option<u64>,
    valid_loader: ValidLoader<TrainingModel>,
    events: SupervisedTrainingEventProcessor<TrainingModel>,
    interrupter: Interrupter,
    clock: Clock,
    evaluation: Option<Evaluation>,
    sample: Option<std::sync::Arc<str>>,
    /// The newest checkpoint: after how many updates, and after which evaluation.
    saved: Option<(u64, Option<u64>)>,
    saver: Saver,
    /// How long training stood still for it.
    saving: Duration,
    /// Why the newest checkpoint could not be written.
    unsaved: Option<CheckpointError>,
    /// Whether the last line could not be appended to the log.
    log_fails: bool,
    /// The last number that was not finite.
    fault: Option<Fault>,
}

/// Where the time goes: training alone for the speed, everything for the time that remains.
struct Clock {
    started: Instant,
    first_step: u64,
    training: Duration,
    logged_tokens: u64,
}

impl Clock {
    fn starting(state: &LoopState) -> Self {
        let (started, training) = (Instant::now(), Duration::ZERO);
        Self { started, first_step: state.step, training, logged_tokens: state.tokens }
    }
}

impl Running {
    fn run(&mut self, loader: &TrainLoader<TrainingModel>) -> Result<Ended, TrainError> {
        let (step, steps) = (self.state.step, self.run.steps);
        self.observer.observe(Event::Started { step, steps });
        self.make_up_evaluation()?;
        self.start_interval(step);
        while self.is_unfinished() {
            // From the data of the next step on; a return to an earlier checkpoint moves on in the data.
            let loader = loader.slice(self.position() as usize, usize::MAX);
            self.train(&mut *loader.iter())?;
        }
        let step = self.state.step;
        let stop = if step >= steps && !self.owes_evaluation() {
            Stop::Done
        } else if self.is_out_of_patience() {
            Stop::Early
        } else {
            Stop::Interrupted(self.interrupter.get_message())
        };
        // An error that burn-train noted goes before; what was trained so far is kept in any case.
        self.save()?;
        self.settle()?;
        match self.unsaved.take() {
            None => Ok(Ended { stop, step, evaluation: self.evaluation, saving: self.saving }),
            Some(error) => Err(TrainError::NotSaved { step, source: Box::new(error) }),
        }
    }

    fn is_unfinished(&self) -> bool {
        self.state.step < self.run.steps && !self.is_out_of_patience() && !self.interrupter.should_stop()
    }

    /// Whether the validation loss has not become better for as long as the run waits for that.
    fn is_out_of_patience(&self) -> bool {
        self.run.patience.is_some_and(|patience| self.state.worse_evaluations >= patience)
    }

    /// Trains until the end, a stop, or a return to an earlier checkpoint.
    fn train(&mut self, batches: &mut Batches<'_>) -> Result<(), TrainError> {
        while self.is_unfinished() {
            self.look_at_saving()?;
            let before = self.state.step;
            if let Some(entry) = self.update(batches)? {
                self.report(&entry)?;
            }
            if self.state.step == before {
                return Ok(());
            }
            if self.has_too_many_faults() || !self.look_around()? {
                return self.roll_back();
            }
            if self.stop_after == Some(self.state.step) {
                self.interrupter.stop(Some("--stop-after"));
            }
        }
        Ok(())
    }

    /// Evaluates, samples and saves where this step is one to do it after; whether the evaluation gave a number.
    fn look_around(&mut self) -> Result<bool, TrainError> {
        let (step, last) = (self.state.step, self.state.step == self.run.steps);
        let is_due = |every: u64| last || step % every == 0;
        let (evaluates, saves) = (self.owes_evaluation(), is_due(self.run.checkpoint_every));
        let samples = self.run.sample_every.is_some_and(is_due);
        if evaluates && !self.evaluate()? {
            return Ok(false);
        }
        if samples {
            self.sample();
        }
        // What is saved in the midst of faults might be what they come from.
        if saves && (last || self.state.faults.in_a_row == 0) {
            self.save()?;
        }
        if evaluates && !last {
            self.start_interval(step);
        }
        Ok(true)
    }

    /// Whether this step has an evaluation that was not made yet.
    fn owes_evaluation(&self) -> bool {
        let step = self.state.step;
        let is_due = step == self.run.steps || step.is_multiple_of(self.run.evaluate_every);
        step > 0 && is_due && self.state.evaluated != Some(step)
    }

    /// Makes the evaluation that a stop came before: what it tells the schedule and the average must not be lost.
    fn make_up_evaluation(&mut self) -> Result<(), TrainError> {
        if !self.owes_evaluation() {
            return Ok(());
        }
        self.start_interval(self.state.step - 1);
        if !self.evaluate()? {
            return self.roll_back();
        }
        self.save()
    }

    /// One step, counted and timed; `None` where its update was skipped or given up.
    fn update(&mut self, batches: &mut Batches<'_>) -> Result<Option<StepEntry>, TrainError> {
        let started = Instant::now();
        let step = self.state.step + 1;
        let (noise, sharpness) = (self.estimates.measures_noise(step), self.estimates.measures_sharpness(step));
        let update = match self.updater.update(step, batches, Measure { noise, sharpness })? {
            Step::Made(update) => update,
            Step::Skipped(fault) => return self.skip(fault).map(|()| None),
            Step::Abandoned => return Ok(None),
        };
        self.state.step = step;
        self.state.faults.in_a_row = 0;
        self.state.tokens += self.run.tokens_per_step();
        self.clock.training += started.elapsed().saturating_sub(update.measuring);
        let noise_scale = update.noise.and_then(|noise| {
            let averages = self.state.noise.get_or_insert_default();
            averages.add(&noise, self.estimates.noise_decay);
            averages.noise_scale()
        });
        let tokens = self.state.tokens;
        let tokens_per_second = (tokens - self.clock.logged_tokens) as f64 / self.clock.training.as_secs_f64();
        Ok(Some(StepEntry {
            step,
            tokens,
            train_loss: update.loss,
            learning_rate: update.learning_rate,
            gradient_norm: update.gradient_norm,
            tokens_per_second,
            gradient_noise: update.noise.map(|noise| noise.of_update()),
            noise_scale,
            sharpness: update.sharpness,
        }))
    }

    /// Evaluates; the best evaluation of the run is saved at once. Whether the loss is a number.
    fn evaluate(&mut self) -> Result<bool, TrainError> {
        let epoch = self.interval(self.state.step - 1);
        let model = TrainingModel { language_model: self.updater.finished_model() };
        let interrupter = self.interrupter.clone();
        let proceed = &mut |_| !interrupter.should_stop();
        let evaluation = evaluate(&model, &*self.valid_loader, &self.validation, proceed)
            .map_err(|error| TrainError::Data(error.to_string()))?;
        let Some(evaluation) = evaluation else { return Ok(true) };
        #[cfg(test)]
        let evaluation =
            Evaluation { loss: super::injection::validation(self.state.step, evaluation.loss), ..evaluation };
        if !evaluation.loss.is_finite() {
            self.fault = Some(Fault { what: "validation loss", value: evaluation.loss });
            return Ok(false);
        }
        let step = self.state.step;
        let entry = EvaluationEntry {
            step,
            valid_loss: evaluation.loss,
            perplexity: evaluation.perplexity,
            bits_per_byte: evaluation.bits_per_byte,
            tokens: evaluation.tokens,
        };
        self.state.evaluated = Some(step);
        self.updater.observe_validation(evaluation.loss);
        self.evaluation = Some(evaluation);
        self.show_evaluation(epoch, evaluation.loss);
        self.note(&entry)?;
        let best = self.state.best.is_none_or(|best| evaluation.loss < best.loss);
        self.state.worse_evaluations = if best { 0 } else { self.state.worse_evaluations + 1 };
        self.observer.observe(Event::Evaluated {
            entry: &entry,
            nats_per_character: evaluation.nats_per_character,
            best,
        });
        if best {
            self.state.best = Some(crate::run::Best { step, loss: evaluation.loss });
            self.save()?;
        }
        Ok(true)
    }

    fn sample(&mut self) {
        let model = self.updater.finished_model();
        let (step, tokens) = (self.state.step, self.run.sample_tokens);
        for prompt in &self.run.prompts {
            match self.observer.sample(&model, prompt, tokens) {
                Ok(text) => {
                    self.observer.observe(Event::Sampled { step, prompt, text: &text });
                    self.sample = Some(text.into());
                }
                Err(message) => self.observer.warn(&format!("no sample at step {step}: {message}")),
            }
        }
    }
}
