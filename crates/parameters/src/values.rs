//! The value of a parameter out of Burn's graph, in one row, and back.

use burn::tensor::{GradientCheckpointingStrategy, Tensor};

/// All numbers of a tensor in one row.
pub(crate) fn flat<const D: usize>(tensor: Tensor<D>) -> Tensor<1> {
    let length = tensor.shape().num_elements();
    tensor.reshape([length])
}

/// How a tensor takes part in Burn's graph.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Autodiff {
    is_autodiff: bool,
    requires_gradient: bool,
    checkpointing: Option<GradientCheckpointingStrategy>,
}

/// How `tensor` takes part in the graph, to be [applied](Autodiff::apply) to what takes its place.
pub(crate) fn with_autodiff_of<const D: usize>(tensor: &Tensor<D>) -> Autodiff {
    Autodiff {
        is_autodiff: tensor.device().is_autodiff(),
        requires_gradient: tensor.is_require_grad(),
        checkpointing: tensor.gradient_checkpointing_strategy(),
    }
}

impl Autodiff {
    pub(crate) fn apply<const D: usize>(self, value: Tensor<D>) -> Tensor<D> {
        if !self.is_autodiff {
            return value;
        }
        let mut value = Tensor::from_inner(value);
        if let Some(strategy) = self.checkpointing {
            value = value.with_gradient_checkpointing_strategy(strategy);
        }
        if self.requires_gradient { value.require_grad() } else { value }
    }
}
