//! The Elman network's sequence.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;

use super::rnn_cpu::{Layer, backward, forward};
use super::{RnnActivation, check, reference, sizes_of};
use crate::autodiff::record;
use crate::flex::{Number, contiguous, has_fast_body, numbers, tensor, with_number};

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

/// All states h_t = phi(p_t + h_(t-1) V) of an Elman network (Elman 1990, <https://doi.org/10.1207/s15516709cog1402_1>).
///
/// # Shapes
/// - `projected`: all p_t = x_t U + c, `[T, B, H]`
/// - `weight`: V, `[H, H]`
/// - `hidden`: h_0, `[B, H]`
/// - output: `[T, B, H]`
///
/// # Panics
/// When the shapes do not fit, or the sequence is empty.
pub fn rnn_sequence(
    projected: Tensor<3>,
    weight: Tensor<2>,
    hidden: Tensor<2>,
    activation: RnnActivation,
) -> Tensor<3> {
    check(1, &projected, &weight, &[&hidden]);
    if !has_fast_body(&projected) {
        return reference::rnn(projected, weight, hidden, activation);
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

impl RnnOps for Flex {
    fn rnn_sequence(
        projected: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        hidden: FloatTensor<Self>,
        activation: RnnActivation,
    ) -> FloatTensor<Self> {
        with_number!(projected, T => run::<T>(projected, weight, hidden, activation))
    }
}

impl RnnGradients for Flex {
    fn rnn_backward(
        operands: RnnOperands<Self>,
        outputs: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 3] {
        with_number!(outputs, T => run_backward::<T>(operands, outputs, gradient))
    }
}

/// In the memory of the projected inputs where nobody else holds them.
fn run<T: Number>(
    projected: FlexTensor,
    weight: FlexTensor,
    hidden: FlexTensor,
    activation: RnnActivation,
) -> FlexTensor {
    let [mut outputs, weight, hidden] = [projected, weight, hidden].map(contiguous);
    let sizes = sizes_of(&outputs, 1);
    let layer = Layer { sizes, activation, weight: numbers::<T>(&weight), hidden: numbers(&hidden) };
    forward(layer, outputs.storage_mut());
    outputs
}

fn run_backward<T: Number>(operands: RnnOperands<Flex>, outputs: FlexTensor, gradient: FlexTensor) -> [FlexTensor; 3] {
    let RnnOperands { weight, hidden, activation } = operands;
    let [mut gradient, outputs, weight, hidden] = [gradient, outputs, weight, hidden].map(contiguous);
    let sizes = sizes_of(&outputs, 1);
    let layer = Layer { sizes, activation, weight: numbers::<T>(&weight), hidden: numbers(&hidden) };
    let found = backward(layer, numbers(&outputs), gradient.storage_mut());
    let (width, rows) = (sizes.width, sizes.rows);
    [gradient, tensor(found.weight, [width, width]), tensor(found.hidden, [rows, width])]
}
