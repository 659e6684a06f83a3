//! The training loop, in steps.
//!
//! It evaluates, samples and saves every N updates, shows the losses to the schedule, and after any checkpoint it
//! can be restored to the last bit.

mod clock;
mod evaluating;
mod recovery;
mod reporting;
mod saving;
mod storage;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use kiln_data::batches::EvaluationPlan;
use kiln_data::shards::TokenFile;

use self::clock::Clock;
use self::storage::Storage;
use super::error::{Fault, TrainError};
use super::faults::Faults;
use super::gradients::Measure;
use super::monitor::Monitor;
use super::observer::{Event, Observer, Stop};
use super::session::{Outcome, Session};
use super::update::{Step, Updater};
use crate::config::RunConfig;
use crate::evaluation::Evaluation;
use crate::gradient_measurements::EstimatesConfig;
use crate::run::{LoopState, StepEntry};
use kiln_models::LanguageModel;

/// A session in motion.
pub(super) struct TrainingLoop {
    updater: Updater,
    run: RunConfig,
    estimates: EstimatesConfig,
    validation: TokenFile,
    plan: EvaluationPlan,
    storage: Storage,
    observer: Box<dyn Observer>,
    state: LoopState,
    stop_after: Option<u64>,
    /// Whether the step after which to stop was made.
    is_at_stop: bool,
    clock: Clock,
    /// The last evaluation.
    evaluation: Option<Evaluation>,
    /// The last number that was not finite.
    fault: Option<Fault>,
    /// Prompts after which no sample could be written.
    refused_prompts: BTreeSet<String>,
}

impl TrainingLoop {
    /// Puts a session together, resumed if it has a checkpoint; `faults` are for tests.
    ///
    /// # Errors
    /// When a text is too short, the checkpoint does not fit, or the log cannot be opened.
    pub(super) fn new(session: Session<'_>, faults: Box<dyn Faults>) -> Result<Self, TrainError> {
        let Session { config, model, train, validation, folder, schedule, resume, observer, stop_after } = session;
        let run = config.run.clone();
        let mut updater = Updater::new(config, model.clone(), train)?;
        updater.faults = faults;
        if let Some(schedule) = schedule {
            updater.schedule = schedule;
        }
        let plan =
            EvaluationPlan::new(&validation, run.evaluate_fraction, run.batch, run.context, updater.carries_state)?;
        let state = match resume {
            Some(checkpoint) => updater.restore(checkpoint, model, run.batch)?,
            None => LoopState::default(),
        };
        let log = folder.open_log(state.step)?;
        Ok(Self {
            updater,
            estimates: config.estimates.clone().unwrap_or_default(),
            validation,
            plan,
            storage: Storage::new(Arc::new(folder), log, run.keep, &state),
            observer,
            clock: Clock::starting(&state, run.steps),
            state,
            run,
            stop_after,
            is_at_stop: false,
            evaluation: None,
            fault: None,
            refused_prompts: BTreeSet::new(),
        })
    }

    /// Trains to the end, or until `monitor` asks to stop; the newest state is on disk then.
    ///
    /// # Errors
    /// When losses or gradients stay not finite, or when the data, the device or the run folder fails.
    pub(super) fn run(&mut self, monitor: &mut dyn Monitor) -> Result<Stop, TrainError> {
        let stop = self.train(monitor);
        // What was begun before an error is on the disk before the error is returned.
        let settled = self.settle();
        stop.and_then(|stop| settled.map(|()| stop))
    }

    /// `[run]`.
    pub(super) fn run_config(&self) -> &RunConfig {
        &self.run
    }

    /// The model as it is to be used: without autodiff, and with averaged weights if there are any.
    pub(super) fn finished_model(&self) -> LanguageModel {
        self.updater.finished_model()
    }

    /// What a session gives back that ended by `stop`; `model` is its [finished model](Self::finished_model).
    pub(super) fn outcome(&self, stop: Stop, model: LanguageModel) -> Outcome {
        let (step, evaluation, saving) = (self.state.step, self.evaluation, self.storage.waited);
        Outcome { model, stop, step, evaluation, saving }
    }

    fn train(&mut self, monitor: &mut dyn Monitor) -> Result<Stop, TrainError> {
        let (step, steps) = (self.state.step, self.run.steps);
        self.observer.observe(Event::Started { step, steps });
        self.evaluate_if_missed(monitor)?;
        monitor.begin_interval(self.state.step);
        while self.is_unfinished(monitor) {
            self.advance(monitor)?;
        }
        let stop = if self.state.step >= steps && !self.is_evaluation_due() {
            Stop::Done
        } else if self.state.is_out_of_patience(&self.run) {
            Stop::Early
        } else if self.is_at_stop {
            Stop::AfterStep
        } else {
            Stop::Interrupted(monitor.stop_reason())
        };
        // An error that burn-train noted takes precedence; what was trained so far is kept in any case.
        self.save()?;
        self.settle()?;
        self.storage.check_saved(self.state.step)?;
        Ok(stop)
    }

    fn is_unfinished(&self, monitor: &dyn Monitor) -> bool {
        !self.state.is_done(&self.run) && !self.is_at_stop && !monitor.should_stop()
    }

    /// Makes a step and what is due after it, or goes back to an earlier checkpoint. A step that the monitor interrupts
    /// isn't made.
    fn advance(&mut self, monitor: &mut dyn Monitor) -> Result<(), TrainError> {
        self.check_saving()?;
        let before = self.state.step;
        if let Some(entry) = self.update(monitor)? {
            self.report(&entry, monitor)?;
        }
        if self.state.step == before {
            return Ok(());
        }
        if self.has_too_many_faults() || !self.evaluate_sample_and_save(monitor)? {
            return self.roll_back(monitor);
        }
        self.is_at_stop = self.stop_after == Some(self.state.step);
        Ok(())
    }

    /// One step, counted and timed; `None` if its update was skipped or given up.
    fn update(&mut self, monitor: &dyn Monitor) -> Result<Option<StepEntry>, TrainError> {
        let started = Instant::now();
        let step = self.state.step + 1;
        let (noise, sharpness) = (self.estimates.measures_noise(step), self.estimates.measures_sharpness(step));
        let (measure, first_batch) = (Measure { noise, sharpness }, self.position());
        let update = match self.updater.update(step, first_batch, measure, &|| monitor.should_stop())? {
            Step::Made(update) => update,
            Step::Skipped(fault) => return self.skip(fault).map(|()| None),
            Step::Abandoned => return Ok(None),
        };
        self.state.step = step;
        self.state.faults.in_a_row = 0;
        self.state.tokens += self.run.tokens_per_step();
        self.clock.made_step(step, started.elapsed(), update.measuring);
        let noise_scale = update.noise.and_then(|noise| {
            let averages = self.state.noise.get_or_insert_default();
            averages.add(&noise, self.estimates.noise_decay);
            averages.noise_scale()
        });
        let tokens = self.state.tokens;
        Ok(Some(StepEntry {
            step,
            tokens,
            train_loss: update.loss,
            learning_rate: update.learning_rate,
            gradient_norm: update.gradient_norm,
            tokens_per_second: self.clock.tokens_per_second(tokens),
            gradient_noise: update.noise.map(|noise| noise.of_update()),
            noise_scale,
            sharpness: update.sharpness,
        }))
    }
}
