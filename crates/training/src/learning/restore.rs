//! A checkpoint put back into the parts of a session.

use std::collections::BTreeMap;

use burn::tensor::{Device, TensorData};
use kiln_models::saved::{SavedModelError, StateProblem, apply_tensors, state_from_tensors};
use kiln_models::{LanguageModel, RecurrentState, State};
use kiln_parameters::catalogue;

use super::TrainError;
use super::update::UpdateParts;
use crate::run::{Checkpoint, CheckpointError, LoopState, TRAINING_WEIGHTS};

/// Puts a checkpoint's optimizer, schedule, average and recurrent state into `parts`; gives the weights to go on from and
/// where the loop was. `model` is without autodiff and has the checkpoint's saved weights.
///
/// # Errors
/// When something in the checkpoint does not fit the model or the configuration.
pub(super) fn restore(
    checkpoint: Checkpoint,
    model: LanguageModel,
    parts: &mut UpdateParts,
    batch: usize,
    device: &Device,
) -> Result<(LanguageModel, LoopState), TrainError> {
    let Checkpoint { state, optimizer, training_weights, carried } = checkpoint;
    parts.optimizer.restore(optimizer, state.updates(), &catalogue(&model), device)?;
    parts.schedule.get().restore(state.schedule.0.clone())?;
    parts.averaging.restore(state.averaging.clone(), &model)?;
    let model = match training_weights {
        Some(weights) => with_weights(model, weights)?,
        None => model,
    };
    let carried = carried.map(|tensors| recurrent_state(&model, batch, tensors, device)).transpose()?;
    parts.carried = carried.filter(|_| parts.carries_state);
    Ok((model, state))
}

/// The model with the weights that training goes on from.
fn with_weights(model: LanguageModel, tensors: BTreeMap<String, TensorData>) -> Result<LanguageModel, TrainError> {
    let refused = |problems| SavedModelError::Weights { path: TRAINING_WEIGHTS.into(), problems };
    Ok(apply_tensors(model, tensors).map_err(refused).map_err(CheckpointError::Saved)?)
}

/// The recurrent state that a checkpoint holds.
fn recurrent_state(
    model: &LanguageModel,
    batch: usize,
    tensors: BTreeMap<String, TensorData>,
    device: &Device,
) -> Result<RecurrentState, TrainError> {
    match model.initial_state(batch) {
        State::Recurrent(fresh) => Ok(state_from_tensors(&fresh, tensors, device).map_err(CheckpointError::State)?),
        State::Transformer(_) => {
            let names = tensors.into_keys().collect::<Vec<_>>().join(", ");
            Err(CheckpointError::State(StateProblem::Unexpected(names)).into())
        }
    }
}
