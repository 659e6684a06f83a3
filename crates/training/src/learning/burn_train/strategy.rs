//! The loop as burn-train's learning strategy.

use std::sync::{Mutex, PoisonError};

use burn::module::Module;
use burn::train::{
    Learner, SupervisedLearningStrategy, SupervisedTrainingEventProcessor, TrainLoader, TrainingComponents, ValidLoader,
};

use super::events::EventMonitor;
use super::model::LearnerModel;
use crate::learning::step_loop::TrainingLoop;
use crate::learning::{Stop, TrainError};

/// Runs a [`TrainingLoop`]. burn-train hands out a shared reference, so the loop goes in and out through locks.
pub(super) struct StepStrategy {
    training: Mutex<Option<TrainingLoop>>,
    ended: Mutex<Option<Ended>>,
    steps: u64,
    evaluate_every: u64,
}

/// A loop that has ended.
pub(super) struct Ended {
    pub(super) training: TrainingLoop,
    pub(super) stop: Result<Stop, TrainError>,
}

impl StepStrategy {
    pub(super) fn new(training: TrainingLoop, steps: u64, evaluate_every: u64) -> Self {
        Self { training: Mutex::new(Some(training)), ended: Mutex::new(None), steps, evaluate_every }
    }

    pub(super) fn take_ended(&self) -> Option<Ended> {
        take(&self.ended)
    }
}

fn take<T>(place: &Mutex<Option<T>>) -> Option<T> {
    place.lock().unwrap_or_else(PoisonError::into_inner).take()
}

impl SupervisedLearningStrategy<LearnerModel> for StepStrategy {
    fn fit(
        &self,
        components: TrainingComponents<LearnerModel>,
        learner: Learner<LearnerModel>,
        _train_loader: TrainLoader<LearnerModel>,
        _valid_loader: ValidLoader<LearnerModel>,
        _starting_epoch: usize,
    ) -> (LearnerModel, SupervisedTrainingEventProcessor<LearnerModel>) {
        let Some(mut training) = take(&self.training) else { return (learner.model(), components.event_processor) };
        // Weights change in place only if nothing else holds them.
        drop(learner);
        let mut monitor =
            EventMonitor::new(components.event_processor, components.interrupter, self.steps, self.evaluate_every);
        let stop = training.run(&mut monitor);
        let model = LearnerModel { language_model: training.finished_model().train() };
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = Some(Ended { training, stop });
        (model, monitor.into_events())
    }
}
