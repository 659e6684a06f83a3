//! A state as named tensors, and back: what a checkpoint in the middle of a stream needs.

use std::collections::BTreeMap;

use burn::tensor::{DType, Device, Tensor, TensorData};

use crate::{LayerState, RecurrentState, State};

/// Why tensors are not the state of a model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateProblem {
    /// One of the tensors that the model needs is not there.
    #[error("`{0}` is missing")]
    Missing(String),
    /// A tensor that belongs to no layer of the model.
    #[error("`{0}` belongs to no layer")]
    Unexpected(String),
    /// A tensor of another shape or type.
    #[error("`{name}` is {found}, the model has 32-bit floats of shape {expected:?}")]
    Mismatch {
        /// Which tensor.
        name: String,
        /// Its type and shape.
        found: String,
        /// The shape that the model needs.
        expected: [usize; 2],
    },
}

/// The tensors of a state by name, `[rows, hidden]` each: `layers.0.hidden`, `layers.0.cell`. A transformer's keys and
/// values are never carried from batch to batch, and so have none.
pub fn state_tensors(state: &State) -> BTreeMap<String, Tensor<2>> {
    let mut tensors = BTreeMap::new();
    let recurrent = match state {
        State::Recurrent(state) => state,
        State::Transformer(_) | State::EncoderDecoder(_) => return tensors,
    };
    for (index, layer) in recurrent.layers.iter().enumerate() {
        tensors.insert(name(index, "hidden"), layer.hidden.clone());
        if let Some(cell) = &layer.cell {
            tensors.insert(name(index, "cell"), cell.clone());
        }
    }
    tensors
}

/// The state that [`state_tensors`] took apart, on `device`; `fresh` is a state of the same model and batch.
///
/// # Errors
/// A tensor is missing, left over, or of another shape or type.
pub fn state_from_tensors(
    fresh: State,
    mut tensors: BTreeMap<String, TensorData>,
    device: &Device,
) -> Result<State, StateProblem> {
    let mut take = |name: String, expected: [usize; 2]| {
        let data = tensors.remove(&name).ok_or_else(|| StateProblem::Missing(name.clone()))?;
        if data.dtype() != DType::F32 || data.shape()[..] != expected {
            let found = format!("{:?} of shape {:?}", data.dtype(), data.shape());
            return Err(StateProblem::Mismatch { name, found, expected });
        }
        Ok(Tensor::from_data(data, device))
    };
    let restored = match fresh {
        State::Transformer(_) | State::EncoderDecoder(_) => fresh,
        State::Recurrent(fresh) => {
            let mut layers = Vec::with_capacity(fresh.layers.len());
            for (index, layer) in fresh.layers.iter().enumerate() {
                let hidden = take(name(index, "hidden"), layer.hidden.dims())?;
                let cell = layer.cell.as_ref().map(|cell| take(name(index, "cell"), cell.dims())).transpose()?;
                layers.push(LayerState { hidden, cell });
            }
            State::Recurrent(RecurrentState::new(layers))
        }
    };
    match tensors.into_keys().next() {
        Some(name) => Err(StateProblem::Unexpected(name)),
        None => Ok(restored),
    }
}

fn name(layer: usize, part: &str) -> String {
    format!("layers.{layer}.{part}")
}
