//! The GRU's sequence.

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

/// The operation as a backend extension.
#[backend_extension(Autodiff, Flex)]
pub(crate) trait GruOps: Backend {
    /// `[T, B, 3 H]`, `[H, 3 H]`, `[H]` and `[B, H]` to `[T, B, H]`.
    fn gru_sequence(
        projected: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        hidden_bias: FloatTensor<Self>,
        hidden: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
}

/// Its gradients.
pub(crate) trait GruGradients: Backend {
    /// The outputs, and what the backward needs.
    fn gru_keeping(projected: FloatTensor<Self>, operands: GruOperands<Self>) -> (FloatTensor<Self>, GruKept<Self>);
    /// Gradients of projected inputs, weight, hidden bias and first state.
    fn gru_backward(
        operands: GruOperands<Self>,
        kept: GruKept<Self>,
        gradient: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 4];
}

/// What the sequence reads beside its projected inputs.
#[derive(Debug, Clone)]
pub(crate) struct GruOperands<B: Backend> {
    /// R, `[H, 3 H]`.
    pub(crate) weight: FloatTensor<B>,
    /// d, `[H]`.
    pub(crate) hidden_bias: FloatTensor<B>,
    /// h_0, `[B, H]`.
    pub(crate) hidden: FloatTensor<B>,
}

/// What is kept of the forward pass.
#[derive(Debug, Clone)]
pub(crate) struct GruKept<B: Backend> {
    /// All h_t, `[T, B, H]`.
    pub(crate) outputs: FloatTensor<B>,
    /// All gates after their activation, `[T, B, 3 H]`.
    pub(crate) gates: FloatTensor<B>,
    /// What the reset gate multiplies, `[T, B, H]`.
    pub(crate) inner: FloatTensor<B>,
}

/// All states of gated recurrent units (Cho et al. 2014, <https://arxiv.org/abs/1406.1078>), in the variant with the
/// reset gate applied after the product and its bias:
///
/// ```text
/// (r, z) = sigmoid(p_t + h_(t-1) R)          n = tanh(p_t + r * (h_(t-1) R + d))
///    h_t = (1 - z) * n + z * h_(t-1)
/// ```
///
/// # Shapes
/// - `projected`: all p_t = x_t W + b, `[T, B, 3 H]`, in three blocks of columns r, z, n
/// - `weight`: R, `[H, 3 H]`, in the same blocks
/// - `hidden_bias`: d, `[H]`
/// - `hidden`: h_0, `[B, H]`
/// - output: `[T, B, H]`
///
/// # Panics
/// If the shapes do not fit, or the sequence is empty.
pub fn gru_sequence(projected: Tensor<3>, weight: Tensor<2>, hidden_bias: Tensor<1>, hidden: Tensor<2>) -> Tensor<3> {
    check(3, &projected, &weight, &[&hidden]);
    assert_eq!(hidden_bias.dims(), [weight.dims()[0]], "a hidden bias has the width of its layer");
    if !has_fast_body(&projected) {
        return reference::gru_sequence(projected, weight, hidden_bias, hidden);
    }
    let (hidden_bias, hidden) = (hidden_bias.into_dispatch(), hidden.into_dispatch());
    let outputs = Dispatch::gru_sequence(projected.into_dispatch(), weight.into_dispatch(), hidden_bias, hidden);
    Tensor::from_dispatch(outputs)
}

impl<B: GruOps + GruGradients, C: CheckpointStrategy> GruOps for Autodiff<B, C> {
    fn gru_sequence(
        projected: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        hidden_bias: FloatTensor<Self>,
        hidden: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let inputs = [projected.node(), weight.node(), hidden_bias.node(), hidden.node()];
        let operands = GruOperands::<B> {
            weight: weight.into_primitive(),
            hidden_bias: hidden_bias.into_primitive(),
            hidden: hidden.into_primitive(),
        };
        let (outputs, kept) = B::gru_keeping(projected.into_primitive(), operands.clone());
        record::<B, C, _, 4>(inputs, outputs, (operands, kept), |(operands, kept), gradient, _| {
            B::gru_backward(operands, kept, gradient).map(Some)
        })
    }
}
