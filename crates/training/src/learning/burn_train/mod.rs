//! The loop run by burn-train: everything of Kiln that knows it.
//!
//! burn-train brings the learner, the metrics with the trait of what shows them, and the interrupter. Its own loop
//! works in epochs, saves only at their ends and shows no loss to the scheduler, so Kiln's loop runs as a
//! [strategy](strategy::StepStrategy) of its own. burn-train's "epoch" is the interval between two evaluations.

mod events;
pub mod metrics;
mod model;
mod strategy;

use std::sync::Arc;

use burn::optim::SgdConfig;
use burn::train::metric::LearningRateMetric;
use burn::train::renderer::MetricsRenderer;
use burn::train::{Interrupter, Learner, SupervisedTraining, TrainingStrategy};

use self::metrics::{NoFiles, Number};
use self::model::{LearnerModel, NoBatches};
use self::strategy::StepStrategy;
use super::faults::NoFaults;
use super::step_loop::TrainingLoop;
use super::{Outcome, Session, TrainError};

/// Trains to the end, or until the interrupter stops it; the newest state is on disk when it returns. `renderer` shows
/// the [`metrics`] of every update, or nothing.
///
/// # Errors
/// When the text is too short, when losses or gradients stay not finite, or when the run folder or the device fails.
/// Checkpoints written before stay.
pub fn train(
    session: Session<'_>,
    renderer: Box<dyn MetricsRenderer>,
    interrupter: Interrupter,
) -> Result<Outcome, TrainError> {
    launch(TrainingLoop::new(session, Box::new(NoFaults))?, renderer, interrupter)
}

/// Hands the loop to burn-train.
pub(super) fn launch(
    training: TrainingLoop,
    renderer: Box<dyn MetricsRenderer>,
    interrupter: Interrupter,
) -> Result<Outcome, TrainError> {
    let (steps, evaluate_every) = (training.run_config().steps, training.run_config().evaluate_every);
    let model = LearnerModel { language_model: training.finished_model() };
    // A learner cannot be made without an optimizer and a rate, or training without batches. The loop has its own.
    let learner = Learner::new(model, SgdConfig::new().init(), 0.0);
    let strategy = Arc::new(StepStrategy::new(training, steps, evaluate_every));
    let result = SupervisedTraining::new("", Arc::new(NoBatches), Arc::new(NoBatches))
        .metric_train_numeric(Number::loss())
        .metric_train_numeric(LearningRateMetric::new())
        .metric_train_numeric(Number::gradient_norm())
        .metric_train_numeric(Number::tokens_per_second())
        .metric_train_numeric(Number::seconds_left())
        .metric_train_numeric(Number::step())
        .metric_valid_numeric(Number::loss())
        .num_epochs(steps.div_ceil(evaluate_every) as usize)
        .with_interrupter(interrupter)
        .with_application_logger(None)
        .with_metric_logger(NoFiles)
        .renderer(renderer)
        .with_training_strategy(TrainingStrategy::Custom(strategy.clone()))
        .launch(learner);
    if let Some(error) = result.error {
        return Err(TrainError::Learner(error.to_string()));
    }
    let ended = strategy.take_ended().ok_or_else(|| TrainError::Learner("the loop did not run".to_string()))?;
    Ok(ended.training.outcome(ended.stop?, result.model.language_model))
}
