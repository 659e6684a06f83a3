//! A recurrent state as named tensors, and back: what a checkpoint in the middle of a stream needs.

use std::collections::BTreeMap;

use burn::tensor::{DType, Device, Tensor, TensorData};

use crate::{LayerState, RecurrentState};

/// Why tensors are not the state of a model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateProblem {
    /// One of the tensors that the model needs is not there.
    #[error("`{0}` is missing")]
    Missing(String),
    /// A tensor that the model doesn't have.
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

/// The tensors of a state by name: `layers.0.hidden`, `layers.0.cell`.
pub fn state_tensors(state: &RecurrentState) -> BTreeMap<String, TensorData> {
    let mut tensors = BTreeMap::new();
    for (index, layer) in state.layers.iter().enumerate() {
        tensors.insert(name(index, "hidden"), layer.hidden.to_data());
        if let Some(cell) = &layer.cell {
            tensors.insert(name(index, "cell"), cell.to_data());
        }
    }
    tensors
}

/// The state that [`state_tensors`] took apart, on `device`; `fresh` is a state of the same model and batch.
///
/// # Errors
/// A tensor is missing, left over, or of another shape or type.
pub fn state_from_tensors(
    fresh: &RecurrentState,
    mut tensors: BTreeMap<String, TensorData>,
    device: &Device,
) -> Result<RecurrentState, StateProblem> {
    let mut take = |name: String, expected: [usize; 2]| {
        let data = tensors.remove(&name).ok_or_else(|| StateProblem::Missing(name.clone()))?;
        if data.dtype() != DType::F32 || data.shape()[..] != expected {
            let found = format!("{:?} of shape {:?}", data.dtype(), data.shape());
            return Err(StateProblem::Mismatch { name, found, expected });
        }
        Ok(Tensor::from_data(data, device))
    };
    let mut layers = Vec::with_capacity(fresh.layers.len());
    for (index, layer) in fresh.layers.iter().enumerate() {
        let hidden = take(name(index, "hidden"), layer.hidden.dims())?;
        let cell = layer.cell.as_ref().map(|cell| take(name(index, "cell"), cell.dims())).transpose()?;
        layers.push(LayerState { hidden, cell });
    }
    match tensors.into_keys().next() {
        Some(name) => Err(StateProblem::Unexpected(name)),
        None => Ok(RecurrentState { layers }),
    }
}

fn name(layer: usize, part: &str) -> String {
    format!("layers.{layer}.{part}")
}
