//! Element-wise functions between two products: GELU, ReLU, ReLU², SwiGLU.

mod cpu;
mod flex;
pub(crate) mod reference;
#[cfg(test)]
mod tests;

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, backend_extension};
use burn::tensor::Tensor;

use crate::autodiff::record;
use crate::flex::has_fast_body;

pub use cpu::Activation;
pub use reference::{sigmoid, tanh};

/// The operations as a backend extension.
#[backend_extension(Autodiff, Flex)]
pub(crate) trait ActivationOps: Backend {
    /// The function of each number.
    fn activate(input: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self>;
    /// `[N, 2 F]` to `[N, F]`.
    fn swiglu(input: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// Their gradients.
pub(crate) trait ActivationGradients: Backend {
    /// The gradient of the input from the input and the gradient of the output.
    fn activate_backward(
        input: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self>;
    /// `[N, 2 F]` and `[N, F]` to `[N, 2 F]`.
    fn swiglu_backward(input: FloatTensor<Self>, gradient: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// The function of each number of a tensor of any shape.
pub fn activate<const D: usize>(input: Tensor<D>, activation: Activation) -> Tensor<D> {
    if !has_fast_body(&input) {
        return reference::activate(input, activation);
    }
    Tensor::from_dispatch(Dispatch::activate(input.into_dispatch(), activation))
}

/// silu(g) u of an input whose columns are first g, then u (Shazeer 2020, <https://arxiv.org/abs/2002.05202>), with
/// silu(x) = x / (1 + exp(-x)).
///
/// # Shapes
/// - `input`: `[N, 2 F]`
/// - output: `[N, F]`
///
/// # Panics
/// If the number of columns is odd.
pub fn swiglu(input: Tensor<2>) -> Tensor<2> {
    let [_, columns] = input.dims();
    assert_eq!(columns % 2, 0, "SwiGLU needs as many gates as values, not {columns} columns");
    if !has_fast_body(&input) {
        return reference::swiglu(input);
    }
    Tensor::from_dispatch(Dispatch::swiglu(input.into_dispatch()))
}

impl<B: ActivationOps + ActivationGradients, C: CheckpointStrategy> ActivationOps for Autodiff<B, C> {
    fn activate(input: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self> {
        let x = input.primitive().clone();
        let output = B::activate(x.clone(), activation);
        record::<B, C, _, 1>([input.node()], output, (x, activation), |(x, activation), gradient, _| {
            [Some(B::activate_backward(x, gradient, activation))]
        })
    }

    fn swiglu(input: FloatTensor<Self>) -> FloatTensor<Self> {
        let x = input.primitive().clone();
        let output = B::swiglu(x.clone());
        record::<B, C, _, 1>([input.node()], output, x, |x, gradient, _| [Some(B::swiglu_backward(x, gradient))])
    }
}
