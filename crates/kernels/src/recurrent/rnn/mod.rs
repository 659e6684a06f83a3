//! The Elman network's sequence.

pub(super) mod cpu;
#[cfg(feature = "cube")]
mod cube;
mod flex;
pub(crate) mod reference;

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
#[cfg(feature = "fusion")]
use burn::backend::fusion::custom::TensorSpec;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, backend_extension};
#[cfg(feature = "fusion")]
use burn::tensor::Shape;
use burn::tensor::Tensor;

use super::tensors::{check, has_body};
use crate::autodiff::record;

pub use cpu::Activation as RnnActivation;

/// The operation as a backend extension.
#[backend_extension(Autodiff, Flex, Cube: cfg(feature = "cube"), Fusion: cfg(feature = "fusion"))]
pub(crate) trait RnnOps: Backend {
    /// `[T, B, H]`, `[H, H]` and `[B, H]` to `[T, B, H]`.
    #[fusion(meta = |projected, weight, hidden, activation| {
        let _ = (weight, hidden, activation);
        projected.clone()
    })]
    fn rnn_sequence(
        projected: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        hidden: FloatTensor<Self>,
        activation: RnnActivation,
    ) -> FloatTensor<Self>;
}

/// Its gradients. What the backward needs is all h_t; on a GPU, h_0 is in front of the others.
#[backend_extension(Flex, Cube: cfg(feature = "cube"), Fusion: cfg(feature = "fusion"))]
pub(crate) trait RnnGradients: Backend {
    /// The outputs, and what the backward needs.
    #[fusion(meta = |projected, weight, hidden, activation| {
        let _ = (weight, hidden, activation);
        (projected.clone(), one_more(projected))
    })]
    fn rnn_keeping(
        projected: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        hidden: FloatTensor<Self>,
        activation: RnnActivation,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
    /// Gradients of projected inputs, weight and first state.
    #[fusion(meta = |weight, hidden, states, gradient, activation| {
        let _ = (states, activation);
        (gradient.clone(), weight.clone(), hidden.clone())
    })]
    fn rnn_backward(
        weight: FloatTensor<Self>,
        hidden: FloatTensor<Self>,
        states: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        activation: RnnActivation,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

/// States `[T + 1, B, H]`, of outputs `[T, B, H]`.
#[cfg(feature = "fusion")]
fn one_more(outputs: &TensorSpec) -> TensorSpec {
    let [steps, rows, width]: [usize; 3] = outputs.shape.dims();
    TensorSpec::new(Shape::new([steps + 1, rows, width]), outputs.dtype)
}

/// What the backward needs.
#[derive(Debug, Clone)]
struct Kept<B: Backend> {
    weight: FloatTensor<B>,
    hidden: FloatTensor<B>,
    states: FloatTensor<B>,
    activation: RnnActivation,
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
    if !has_body(&projected) {
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
        let (outputs, states) = B::rnn_keeping(projected.into_primitive(), weight.clone(), hidden.clone(), activation);
        let kept = Kept::<B> { weight, hidden, states, activation };
        record::<B, C, _, 3>(inputs, outputs, kept, |Kept { weight, hidden, states, activation }, gradient, _| {
            let (projected, weight, hidden) = B::rnn_backward(weight, hidden, states, gradient, activation);
            [projected, weight, hidden].map(Some)
        })
    }
}
