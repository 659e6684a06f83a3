//! A session of training: everything put together and handed to burn-train.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use burn::optim::SgdConfig;
use burn::tensor::Device;
use burn::train::metric::{LearningRateMetric, LossMetric};
use burn::train::renderer::MetricsRenderer;
use burn::train::{Interrupter, Learner, SupervisedTraining, TrainingStrategy};
use kiln_models::LanguageModel;

use super::dashboard::{NoFiles, Number, SampleText};
use super::loader::{EvaluationLoader, TrainingLoader};
use super::restore::restore;
use super::step_loop::{LoopParts, StepLoop};
use super::update::UpdateParts;
use super::{Observer, Stop, TrainError, TrainingModel, carries_state};
use crate::config::RunConfig;
use crate::live_estimates::EstimatesConfig;
use crate::run::{Checkpoint, LoopState, RunFolder};
use kiln_data::batches::{BatchOrder, EvaluationPlan};
use kiln_data::shards::TokenFile;
use kiln_optimization::averaging::{Averaging, AveragingConfig};
use kiln_optimization::optimizers::OptimizerConfig;
use kiln_optimization::schedules::{ScheduleConfig, SharedSchedule};

/// What a session trains, on what, and where it goes on.
pub struct Session<'a> {
    /// The seed of the data order and of dropout; the weights were drawn by whoever made the model.
    pub seed: u64,
    /// The model, on its device, without autodiff. With a checkpoint to resume it has that checkpoint's saved weights, also
    /// where they are an average: the weights to go on from are in the checkpoint then.
    pub model: LanguageModel,
    /// The device, without autodiff.
    pub device: Device,
    /// `[run]`.
    pub run: &'a RunConfig,
    /// `[optimizer]`.
    pub optimizer: &'a OptimizerConfig,
    /// `[schedule]`.
    pub schedule: &'a ScheduleConfig,
    /// `[estimates]`.
    pub estimates: Option<&'a EstimatesConfig>,
    /// `[averaging]`.
    pub averaging: Option<&'a AveragingConfig>,
    /// The training split.
    pub train: TokenFile,
    /// The validation split.
    pub validation: TokenFile,
    /// The folder of the run, locked.
    pub folder: RunFolder,
    /// Where to go on; `None` starts at step 0.
    pub resume: Option<Checkpoint>,
    /// Follows the run.
    pub observer: Box<dyn Observer>,
    /// Shows burn-train's metrics: its dashboard, or nothing.
    pub renderer: Box<dyn MetricsRenderer>,
    /// Stops the run from outside.
    pub interrupter: Interrupter,
    /// The step after which the run is to stop, as if it had been interrupted there.
    pub stop_after: Option<u64>,
}

/// How a session ended.
pub struct Outcome {
    /// The trained model, without autodiff, as it was saved: with averaged weights where there are such.
    pub model: LanguageModel,
    /// Why it stopped.
    pub stop: Stop,
    /// Updates made in all sessions of the run.
    pub step: u64,
    /// The last evaluation since the start or resumption, if there was one.
    pub evaluation: Option<crate::evaluation::Evaluation>,
    /// How long training stood still for saving: while numbers were copied, and while the writing of the checkpoint before
    /// was not yet done.
    pub saving: Duration,
}

/// Trains to the end, or until the interrupter stops it; the newest state is on disk when it comes back.
///
/// # Errors
/// When the text is too short, when losses or gradients stay not finite, or when the run folder fails. Checkpoints written
/// before stay.
pub fn train(session: Session<'_>) -> Result<Outcome, TrainError> {
    let Session { seed, mut model, device, run, optimizer, schedule, averaging, train, validation, .. } = session;
    let order = Arc::new(BatchOrder::new(train, run.windows, run.batch, run.context, seed)?);
    let carries_state = carries_state(&model, run);
    let plan = EvaluationPlan::new(&validation, run.evaluate_fraction, run.batch, run.context, carries_state)?;
    let schedule = SharedSchedule::new(schedule.build(run.steps));
    let mut update = UpdateParts {
        seed,
        accumulate: run.accumulate,
        clip_norm: run.clip_norm,
        optimizer: optimizer.build(),
        averaging: Averaging::new(averaging),
        schedule: schedule.clone(),
        carried: None,
        carries_state,
        interrupter: session.interrupter.clone(),
    };
    let mut state = LoopState::default();
    if let Some(checkpoint) = session.resume {
        (model, state) = restore(checkpoint, model, &mut update, run.batch, &device)?;
    }
    let log = session.folder.open_log(state.step)?;
    // Endless: how many batches a run takes depends on those that are passed over.
    let train_loader = Arc::new(TrainingLoader::new(order, 0, u64::MAX));
    let valid_loader = Arc::new(EvaluationLoader::new(validation.clone(), plan));
    let estimates = session.estimates.cloned().unwrap_or_default();
    let (run_config, folder, observer) = (run.clone(), session.folder, session.observer);
    let stop_after = session.stop_after;
    let parts =
        LoopParts { update, run: run_config, estimates, validation, folder, log, observer, state, device, stop_after };
    let step_loop = Arc::new(StepLoop::new(parts));
    // Burn's optimizer is not used, see `optimizers`; a learner cannot be made without one.
    let learner = Learner::new(TrainingModel { language_model: model }, SgdConfig::new().init(), schedule);
    let result = SupervisedTraining::new("", train_loader, valid_loader)
        .metric_train_numeric(LossMetric::new())
        .metric_train_numeric(LearningRateMetric::new())
        .metric_train_numeric(Number::gradient_norm())
        .metric_train_numeric(Number::tokens_per_second())
        .metric_train(SampleText::new())
        .metric_valid_numeric(Number::valid_loss())
        .num_epochs(run.steps.div_ceil(run.evaluate_every) as usize)
        .with_interrupter(session.interrupter)
        .with_application_logger(None)
        .with_metric_logger(NoFiles)
        .renderer(session.renderer)
        .with_training_strategy(TrainingStrategy::Custom(step_loop.clone()))
        .launch(learner);
    if let Some(error) = result.error {
        return Err(TrainError::Learner(error.to_string()));
    }
    let ended = step_loop.take_end().ok_or_else(|| TrainError::Learner("the loop did not run".to_string()))??;
    let Ended { stop, step, evaluation, saving } = ended;
    Ok(Outcome { model: result.model.language_model, stop, step, evaluation, saving })
}

/// What the loop leaves behind for [`train`].
pub(super) struct Ended {
    pub(super) stop: Stop,
    pub(super) step: u64,
    pub(super) evaluation: Option<crate::evaluation::Evaluation>,
    pub(super) saving: Duration,
}

/// A place for one value that is put in on one side of burn-train and taken out on the other.
pub(super) struct Handover<T>(Mutex<Option<T>>);

impl<T> Handover<T> {
    pub(super) fn new(value: Option<T>) -> Self {
        Self(Mutex::new(value))
    }

    pub(super) fn put(&self, value: T) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
    }

    pub(super) fn take(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
