//! A checkpoint of an updater: taken, and put back.

use std::collections::BTreeMap;

use burn::tensor::{ExecutionError, TensorData};
use kiln_models::saved::{apply_adapters, apply_tensors, state_from_tensors, state_tensors};
use kiln_models::{LanguageModel, State};
use kiln_parameters::{HostCopy, Parameter, Role, catalogue};
use kiln_storage::layout::TRAINING_WEIGHTS_FILE;

use super::TrainError;
use super::update::Updater;
use crate::run::{Checkpoint, CheckpointError, LoopState, ScheduleEntry};

/// What a checkpoint's tensors are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Weights,
    TrainingWeights,
    Optimizer,
    Carried,
}

/// What stands before the names of the teacher's recurrent state.
const TEACHER: &str = "teacher.";

impl Updater {
    /// The weights to be saved, by path, and the rest of a checkpoint; `state` is where the loop is. Everything is on
    /// the host when this returns, so that the next updates change nothing of it.
    ///
    /// # Errors
    /// When the device fails.
    pub(super) fn checkpoint(
        &self,
        state: &LoopState,
    ) -> Result<(BTreeMap<String, TensorData>, Checkpoint), ExecutionError> {
        let mut copy = HostCopy::default();
        // What adapters are added to is in another file.
        let is_saved = |parameter: &Parameter| !self.parts.are_adapters() || parameter.role == Role::Adapter;
        copy.add_parameters_that(Part::Weights, &self.finished_model(), is_saved);
        if let Some(model) = self.unfinished_model() {
            copy.add_parameters_that(Part::TrainingWeights, &model, is_saved);
        }
        self.optimizer.copy_state(Part::Optimizer, &mut copy);
        let carried = [("", &self.carried), (TEACHER, &self.teacher_carried)];
        for (owner, state) in carried {
            for (name, tensor) in state.as_ref().map(state_tensors).unwrap_or_default() {
                copy.add(Part::Carried, format!("{owner}{name}"), tensor);
            }
        }
        let mut parts = copy.read()?;
        let state = LoopState {
            schedule: ScheduleEntry(self.schedule.state()),
            averaging: self.averaging.state(),
            ..state.clone()
        };
        let checkpoint = Checkpoint {
            state,
            optimizer: parts.remove(&Part::Optimizer).unwrap_or_default(),
            training_weights: parts.remove(&Part::TrainingWeights),
            carried: parts.remove(&Part::Carried),
        };
        Ok((parts.remove(&Part::Weights).unwrap_or_default(), checkpoint))
    }

    /// Puts back a checkpoint's weights, optimizer, schedule, average and recurrent state; gives where the loop was.
    /// `saved` is without autodiff and has the checkpoint's saved weights; `batch` is the number of rows of a batch.
    ///
    /// # Errors
    /// When something in the checkpoint does not fit the model or the configuration.
    pub(super) fn restore(
        &mut self,
        checkpoint: Checkpoint,
        saved: LanguageModel,
        batch: usize,
    ) -> Result<LoopState, TrainError> {
        let Checkpoint { state, optimizer, training_weights, carried } = checkpoint;
        let device = saved.device();
        let parameters = catalogue(&self.parts.trained(saved.clone()));
        self.optimizer.restore(optimizer, state.updates(), &parameters, &device)?;
        self.schedule.restore(state.schedule.0.clone())?;
        self.averaging.restore(state.averaging.clone(), &saved)?;
        let model = match training_weights {
            Some(weights) => {
                let apply = if self.parts.are_adapters() { apply_adapters } else { apply_tensors };
                apply(saved, weights, TRAINING_WEIGHTS_FILE.as_ref()).map_err(CheckpointError::Saved)?
            }
            None => saved,
        };
        self.restore_carried(carried.unwrap_or_default(), &model, batch)?;
        self.replace_model(model);
        Ok(state)
    }

    /// Puts back the recurrent states that were carried, if any.
    fn restore_carried(
        &mut self,
        carried: BTreeMap<String, TensorData>,
        model: &LanguageModel,
        batch: usize,
    ) -> Result<(), TrainError> {
        let (mut own, mut of_teacher) = (BTreeMap::new(), BTreeMap::new());
        for (name, tensor) in carried {
            match name.strip_prefix(TEACHER) {
                Some(name) => of_teacher.insert(name.to_owned(), tensor),
                None => own.insert(name, tensor),
            };
        }
        let device = model.device();
        let restored = |fresh: Option<State>, tensors: BTreeMap<String, TensorData>| {
            let fresh = fresh.filter(|_| self.carries_state && !tensors.is_empty());
            fresh.map(|fresh| state_from_tensors(fresh, tensors, &device)).transpose().map_err(CheckpointError::State)
        };
        let own = restored(Some(model.initial_state(batch)), own)?;
        let of_teacher = restored(self.teacher_state(batch), of_teacher)?;
        (self.carried, self.teacher_carried) = (own, of_teacher);
        Ok(())
    }
}
