//! The GRU's sequence.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;

use super::gru_cpu::{Layer, backward, forward};
use super::{check, reference, sizes_of};
use crate::autodiff::record;
use crate::flex::{Number, contiguous, has_fast_body, numbers, sizes, tensor, with_number};

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

/// All states of gated recurrent units (Cho et al. 2014, <https://arxiv.org/abs/1406.1078>), in the variant with the reset
/// gate applied after the product and its bias:
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
/// When the shapes do not fit, or the sequence is empty.
pub fn gru_sequence(projected: Tensor<3>, weight: Tensor<2>, hidden_bias: Tensor<1>, hidden: Tensor<2>) -> Tensor<3> {
    check(3, &projected, &weight, &[&hidden]);
    assert_eq!(hidden_bias.dims(), [weight.dims()[0]], "a hidden bias has the width of its layer");
    if !has_fast_body(&projected) {
        return reference::gru(projected, weight, hidden_bias, hidden);
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

impl GruOps for Flex {
    fn gru_sequence(
        projected: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        hidden_bias: FloatTensor<Self>,
        hidden: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        Self::gru_keeping(projected, GruOperands { weight, hidden_bias, hidden }).0
    }
}

impl GruGradients for Flex {
    fn gru_keeping(projected: FloatTensor<Self>, operands: GruOperands<Self>) -> (FloatTensor<Self>, GruKept<Self>) {
        with_number!(projected, T => run::<T>(projected, operands))
    }

    fn gru_backward(
        operands: GruOperands<Self>,
        kept: GruKept<Self>,
        gradient: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 4] {
        with_number!(gradient, T => run_backward::<T>(operands, kept, gradient))
    }
}

/// The gates lie in the memory of the projected inputs where nobody else holds them.
fn run<T: Number>(projected: FlexTensor, operands: GruOperands<Flex>) -> (FlexTensor, GruKept<Flex>) {
    let GruOperands { weight, hidden_bias, hidden } = operands;
    let [mut gates, weight, hidden_bias, hidden] = [projected, weight, hidden_bias, hidden].map(contiguous);
    let sizes = sizes_of(&gates, 3);
    let shape = [sizes.steps, sizes.rows, sizes.width];
    let count = shape.iter().product();
    let (mut inner, mut outputs) = (vec![T::ZERO; count], vec![T::ZERO; count]);
    let layer =
        Layer { sizes, weight: numbers::<T>(&weight), hidden_bias: numbers(&hidden_bias), hidden: numbers(&hidden) };
    forward(layer, gates.storage_mut(), &mut inner, &mut outputs);
    let (inner, outputs) = (tensor(inner, shape), tensor(outputs, shape));
    (outputs.clone(), GruKept { outputs, gates, inner })
}

fn run_backward<T: Number>(operands: GruOperands<Flex>, kept: GruKept<Flex>, gradient: FlexTensor) -> [FlexTensor; 4] {
    let GruOperands { weight, hidden_bias, hidden } = operands;
    let GruKept { outputs, gates, inner } = kept;
    let [mut gates, mut inner, gradient] = [gates, inner, gradient].map(contiguous);
    let [weight, hidden_bias, hidden] = [weight, hidden_bias, hidden].map(contiguous);
    let layer = Layer {
        sizes: sizes_of(&gates, 3),
        weight: numbers::<T>(&weight),
        hidden_bias: numbers(&hidden_bias),
        hidden: numbers(&hidden),
    };
    let found = backward(layer, [numbers(&outputs), numbers(&gradient)], gates.storage_mut(), inner.storage_mut());
    let weight = tensor(found.weight, sizes::<2>(&weight));
    let hidden_bias = tensor(found.hidden_bias, sizes::<1>(&hidden_bias));
    [gates, weight, hidden_bias, tensor(found.hidden, sizes::<2>(&hidden))]
}
