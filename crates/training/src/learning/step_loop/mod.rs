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

use kiln_data::shards::TokenFile;

use self::clock::Clock;
use self::storage::Storage;
use super::error::{Fault, TrainError};
use super::faults::Faults;
use super::gradients::Measure;
use super::monitor::Monitor;
use super::observer::{Event, Observer, Stop};
use super::pending::Pending;
use super::session::{Outcome, Session};
use super::update::{Step, Update, Updater};
use crate::config::RunConfig;
use crate::evaluation::{Evaluation, Plan};
use crate::gradient_measurements::EstimatesConfig;
use crate::run::{LoopState, StepEntry};
use kiln_models::LanguageModel;

/// A session in motion.
pub(super) struct TrainingLoop {
    updater: Updater,
    run: RunConfig,
    estimates: EstimatesConfig,
    validation: TokenFile,
    plan: Plan,
    storage: Storage,
    observer: Box<dyn Observer>,
    state: LoopState,
    stop_after: Option<u64>,
    /// Whether the step after which to stop was made.
    is_at_stop: bool,
    clock: Clock,
    /// An update that was handed to the device, and is not counted yet.
    pending: Option<Pending>,
    /// Since when the update is made that is counted next.
    since: Instant,
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
        let Session { config, model, teacher, train, validation, folder, schedule, resume, observer, stop_after } =
            session;
        let run = config.run.clone();
        let mut updater = Updater::new(config, model.clone(), train)?.with_teacher(teacher);
        updater.faults = faults;
        if let Some(schedule) = schedule {
            updater.schedule = schedule;
        }
        let plan = Plan::of_run(config, &validation, updater.carries_state)?;
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
            pending: None,
            since: Instant::now(),
            evaluation: None,
            fault: None,
            refused_prompts: BTreeSet::new(),
        })
    }

    /// Whether the numbers of an update are read after the next one began, wherever it trains.
    #[cfg(test)]
    pub(super) fn delay(&mut self, delays: bool) {
        self.updater.delays = delays;
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
        self.catch_up(monitor)?;
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

    /// Hands a step to the device and completes the one before, or this one if something is due after it. A step that
    /// the monitor interrupts isn't made.
    fn advance(&mut self, monitor: &mut dyn Monitor) -> Result<(), TrainError> {
        self.check_saving()?;
        let ahead = u64::from(self.pending.is_some());
        let step = self.state.step + ahead + 1;
        let (noise, sharpness) = (self.estimates.measures_noise(step), self.estimates.measures_sharpness(step));
        let measure = Measure { noise, sharpness };
        if self.pending.is_none() {
            self.since = Instant::now();
        } else if self.updater.waits(measure) {
            return self.catch_up(monitor);
        }
        let first_batch = self.position() + ahead * self.updater.accumulate;
        let begun = self.updater.begin(step, first_batch, measure, self.pending.as_ref(), &|| monitor.should_stop())?;
        let Some(begun) = begun else { return self.catch_up(monitor) };
        let waits = self.updater.waits(measure) || self.is_something_due_after(step);
        if let Some(earlier) = self.pending.replace(begun) {
            self.complete(earlier, monitor)?;
        }
        if waits { self.catch_up(monitor) } else { Ok(()) }
    }

    /// Completes the step that is on its way, if one is.
    fn catch_up(&mut self, monitor: &mut dyn Monitor) -> Result<(), TrainError> {
        match self.pending.take() {
            Some(pending) => self.complete(pending, monitor),
            None => Ok(()),
        }
    }

    /// Counts a step and does what is due after it, or goes back to an earlier checkpoint. If its update was not made,
    /// the one that was handed to the device after it is to be made again.
    fn complete(&mut self, pending: Pending, monitor: &mut dyn Monitor) -> Result<(), TrainError> {
        let (step, later) = self.updater.finish(pending, self.pending.take())?;
        self.pending = later;
        match step {
            Step::Made(update) => {
                let entry = self.count(update);
                self.report(&entry, monitor)?;
            }
            Step::Skipped(fault) => self.skip(fault)?,
        }
        if self.has_too_many_faults() || !self.evaluate_sample_and_save(monitor)? {
            return self.roll_back(monitor);
        }
        self.is_at_stop = self.stop_after == Some(self.state.step);
        Ok(())
    }

    /// Counts and times an update.
    fn count(&mut self, update: Update) -> StepEntry {
        let step = self.state.step + 1;
        self.state.step = step;
        self.state.faults.in_a_row = 0;
        self.state.tokens += update.tokens;
        let now = Instant::now();
        self.clock.made_step(step, now - std::mem::replace(&mut self.since, now), update.measuring);
        let noise_scale = update.noise.and_then(|noise| {
            let averages = self.state.noise.get_or_insert_default();
            averages.add(&noise, self.estimates.noise_decay);
            averages.noise_scale()
        });
        let tokens = self.state.tokens;
        let (teacher, preference) = match self.updater.preference {
            Some(_) => (None, update.losses),
            None => (update.losses, None),
        };
        StepEntry {
            step,
            tokens,
            train_loss: update.loss,
            hard_loss: teacher.map(|losses| losses[0]),
            soft_loss: teacher.map(|losses| losses[1]),
            margin: preference.map(|measured| measured[0]),
            accuracy: preference.map(|measured| measured[1]),
            learning_rate: update.learning_rate,
            gradient_norm: update.gradient_norm,
            tokens_per_second: self.clock.tokens_per_second(tokens),
            gradient_noise: update.noise.map(|noise| noise.of_update()),
            noise_scale,
            sharpness: update.sharpness,
        }
    }
}
