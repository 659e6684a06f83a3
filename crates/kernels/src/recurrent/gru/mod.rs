//! The GRU's sequence.

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

/// The operation as a backend extension.
#[backend_extension(Autodiff, Flex, Cube: cfg(feature = "cube"), Fusion: cfg(feature = "fusion"))]
pub(crate) trait GruOps: Backend {
    /// `[T, B, 3 H]`, `[H, 3 H]`, `[H]` and `[B, H]` to `[T, B, H]`.
    #[fusion(meta = |projected, weight, hidden_bias, hidden| {
        let _ = (weight, hidden_bias, hidden);
        states_of(projected, 0)
    })]
    fn gru_sequence(
        projected: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        hidden_bias: FloatTensor<Self>,
        hidden: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
}

/// Its gradients. What the backward needs is all h_t (on a GPU, h_0 is in front of the others), all gates after their
/// activation, and what the reset gate multiplies, `[T, B, H]`.
#[backend_extension(Flex, Cube: cfg(feature = "cube"), Fusion: cfg(feature = "fusion"))]
pub(crate) trait GruGradients: Backend {
    /// The outputs, and what the backward needs.
    #[fusion(meta = |projected, weight, hidden_bias, hidden| {
        let _ = (weight, hidden_bias, hidden);
        (states_of(projected, 0), states_of(projected, 1), projected.clone(), states_of(projected, 0))
    })]
    fn gru_keeping(
        projected: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        hidden_bias: FloatTensor<Self>,
        hidden: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
    /// Gradients of projected inputs, weight, hidden bias and first state.
    #[fusion(meta = |weight, hidden_bias, hidden, states, gates, inner, gradient| {
        let _ = (states, inner, gradient);
        (gates.clone(), weight.clone(), hidden_bias.clone(), hidden.clone())
    })]
    fn gru_backward(
        weight: FloatTensor<Self>,
        hidden_bias: FloatTensor<Self>,
        hidden: FloatTensor<Self>,
        states: FloatTensor<Self>,
        gates: FloatTensor<Self>,
        inner: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

/// The states `[T + more, B, H]` that belong to projected inputs.
#[cfg(feature = "fusion")]
fn states_of(projected: &TensorSpec, more: usize) -> TensorSpec {
    let [steps, rows, columns]: [usize; 3] = projected.shape.dims();
    TensorSpec::new(Shape::new([steps + more, rows, columns / 3]), projected.dtype)
}

/// What the backward needs.
#[derive(Debug, Clone)]
struct Kept<B: Backend> {
    weight: FloatTensor<B>,
    hidden_bias: FloatTensor<B>,
    hidden: FloatTensor<B>,
    states: FloatTensor<B>,
    gates: FloatTensor<B>,
    inner: FloatTensor<B>,
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
    if !has_body(&projected) {
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
        let (weight, hidden_bias) = (weight.into_primitive(), hidden_bias.into_primitive());
        let hidden = hidden.into_primitive();
        let (outputs, states, gates, inner) =
            B::gru_keeping(projected.into_primitive(), weight.clone(), hidden_bias.clone(), hidden.clone());
        let kept = Kept::<B> { weight, hidden_bias, hidden, states, gates, inner };
        record::<B, C, _, 4>(inputs, outputs, kept, |kept, gradient, _| {
            let Kept { weight, hidden_bias, hidden, states, gates, inner } = kept;
            let (projected, weight, hidden_bias, hidden) =
                B::gru_backward(weight, hidden_bias, hidden, states, gates, inner, gradient);
            [projected, weight, hidden_bias, hidden].map(Some)
        })
    }
}
