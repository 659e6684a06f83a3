//! A checkpoint put back into the parts of a session.

use std::collections::BTreeMap;

use burn::tensor::{Device, TensorData};
use kiln_models::saved::{StateProblem, apply_tensors, state_from_tensors};
use kiln_models::{LanguageModel, RecurrentState, State};
use kiln_parameters::catalogue;
use kiln_storage::layout::TRAINING_WEIGHTS_FILE;

use super::TrainError;
use super::update::UpdateParts;
use crate::run::{Checkpoint, CheckpointError, LoopState};

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
        Some(weights) => {
            apply_tensors(model, weights, TRAINING_WEIGHTS_FILE.as_ref()).map_err(CheckpointError::Saved)?
        }
        None => model,
    };
    let carried = carried.map(|tensors| recurrent_state(&model, batch, tensors, device)).transpose()?;
    parts.carried = carried.filter(|_| parts.carries_state);
    Ok((model, state))
}

/// The recurrent state that a checkpoint holds.
fn recurrent_state(
    model: &LanguageModel,
    batch: usize,
    tensors: BTreeMap<String, TensorData>,
    device: &Device,
) -> Result<RecurrentState, TrainError> {
    match model.initial_state(batch, 0) {
        State::Recurrent(fresh) => Ok(state_from_tensors(&fresh, tensors, device).map_err(CheckpointError::State)?),
        State::Transformer(_) => {
            let names = tensors.into_keys().collect::<Vec<_>>().join(", ");
            Err(CheckpointError::State(StateProblem::Unexpected(names)).into())
        }
    }
}
