//! The Elman network's sequence.

pub(super) mod cpu;
mod flex;
pub(crate) mod reference;

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, backend_extension};
use burn::tensor::Tensor;

use super::tensors::check;
use crate::autodiff::record;
use crate::flex::has_fast_body;

pub use cpu::Activation as RnnActivation;

/// The operation as a backend extension.
#[backend_extension(Autodiff, Flex)]
pub(crate) trait RnnOps: Backend {
    /// `[T, B, H]`, `[H, H]` and `[B, H]` to `[T, B, H]`.
    fn rnn_sequence(
        projected: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        hidden: FloatTensor<Self>,
        activation: RnnActivation,
    ) -> FloatTensor<Self>;
}

/// Its gradients.
pub(crate) trait RnnGradients: Backend {
    /// Gradients of projected inputs, weight and first state.
    fn rnn_backward(
        operands: RnnOperands<Self>,
        outputs: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 3];
}

/// What the backward needs beside the outputs.
#[derive(Debug, Clone)]
pub(crate) struct RnnOperands<B: Backend> {
    /// V, `[H, H]`.
    pub(crate) weight: FloatTensor<B>,
    /// h_0, `[B, H]`.
    pub(crate) hidden: FloatTensor<B>,
    /// phi.
    pub(crate) activation: RnnActivation,
}

/// All states h_t = phi(p_t + h_(t-1) V) of an Elman network (Elman 1990,
/// <https://doi.org/10.1207/s15516709cog1402_1>).
///
/// # Shapes
/// - `projected`: all p_t = x_t U + c, `[T, B, H]`
/// - `weight`: V, `[H, H]`
/// - `hidden`: h_0, `[B, H]`
/// - output: `[T, B, H]`
///
/// # Panics
/// If the shapes do not fit, or the sequence is empty.
pub fn rnn_sequence(
    projected: Tensor<3>,
    weight: Tensor<2>,
    hidden: Tensor<2>,
    activation: RnnActivation,
) -> Tensor<3> {
    check(1, &projected, &weight, &[&hidden]);
    if !has_fast_body(&projected) {
        return reference::rnn_sequence(projected, weight, hidden, activation);
    }
    let (projected, weight, hidden) = (projected.into_dispatch(), weight.into_dispatch(), hidden.into_dispatch());
    Tensor::from_dispatch(Dispatch::rnn_sequence(projected, weight, hidden, activation))
}

impl<B: RnnOps + RnnGradients, C: CheckpointStrategy> RnnOps for Autodiff<B, C> {
    fn rnn_sequence(
        projected: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        hidden: FloatTensor<Self>,
        activation: RnnActivation,
    ) -> FloatTensor<Self> {
        let inputs = [projected.node(), weight.node(), hidden.node()];
        let (weight, hidden) = (weight.into_primitive(), hidden.into_primitive());
        let outputs = B::rnn_sequence(projected.into_primitive(), weight.clone(), hidden.clone(), activation);
        let state = (RnnOperands::<B> { weight, hidden, activation }, outputs.clone());
        record::<B, C, _, 3>(inputs, outputs, state, |(operands, outputs), gradient, _| {
            B::rnn_backward(operands, outputs, gradient).map(Some)
        })
    }
}
