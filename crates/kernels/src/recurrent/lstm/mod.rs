//! The LSTM's sequence.

pub(super) mod cpu;
mod flex;
pub(crate) mod reference;

use std::sync::{Arc, Mutex, PoisonError};

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, TensorMetadata, backend_extension};
use burn::tensor::Tensor;

use super::tensors::check;
use crate::autodiff::record;
use crate::flex::has_fast_body;

/// The operation as a backend extension.
#[backend_extension(Autodiff, Flex)]
pub(crate) trait LstmOps: Backend {
    /// `[T, B, 4 H]`, `[H, 4 H]`, `[B, H]` and `[B, H]` to all outputs `[T, B, H]` and the last cell `[B, H]`.
    fn lstm_sequence(
        projected: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        hidden: FloatTensor<Self>,
        cell: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
}

/// Its gradients.
pub(crate) trait LstmGradients: Backend {
    /// The outputs, the last cell, and what the backward needs.
    fn lstm_keeping(
        projected: FloatTensor<Self>,
        operands: LstmOperands<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, LstmKept<Self>);
    /// Gradients of projected inputs, weight, first output and first cell.
    fn lstm_backward(
        operands: LstmOperands<Self>,
        kept: LstmKept<Self>,
        gradient: FloatTensor<Self>,
        last_cell_gradient: Option<FloatTensor<Self>>,
    ) -> [FloatTensor<Self>; 4];
}

/// What the sequence reads beside its projected inputs.
#[derive(Debug, Clone)]
pub(crate) struct LstmOperands<B: Backend> {
    /// R, `[H, 4 H]`.
    pub(crate) weight: FloatTensor<B>,
    /// h_0, `[B, H]`.
    pub(crate) hidden: FloatTensor<B>,
    /// c_0, `[B, H]`.
    pub(crate) cell: FloatTensor<B>,
}

/// What is kept of the forward pass.
#[derive(Debug, Clone)]
pub(crate) struct LstmKept<B: Backend> {
    /// All h_t, `[T, B, H]`.
    pub(crate) outputs: FloatTensor<B>,
    /// All c_t, `[T, B, H]`.
    pub(crate) cells: FloatTensor<B>,
    /// All gates after their activation, `[T, B, 4 H]`.
    pub(crate) gates: FloatTensor<B>,
}

/// All outputs and the last memory cell of long short-term memory (Hochreiter and Schmidhuber 1997,
/// <https://doi.org/10.1162/neco.1997.9.8.1735>, with the forget gate of Gers, Schmidhuber and Cummins 2000,
/// <https://doi.org/10.1162/089976600300015015>):
///
/// ```text
/// (i, f, o) = sigmoid(p_t + h_(t-1) R)         g = tanh(p_t + h_(t-1) R)
///       c_t = f * c_(t-1) + i * g            h_t = o * tanh(c_t)
/// ```
///
/// # Shapes
/// - `projected`: all p_t = x_t W + b, `[T, B, 4 H]`, in four blocks of columns i, f, o, g
/// - `weight`: R, `[H, 4 H]`, in the same blocks
/// - `hidden`, `cell`: h_0 and c_0, `[B, H]`
/// - output: all h_t, `[T, B, H]`, and the last c_t, `[B, H]`
///
/// # Panics
/// If the shapes do not fit, or the sequence is empty.
pub fn lstm_sequence(
    projected: Tensor<3>,
    weight: Tensor<2>,
    hidden: Tensor<2>,
    cell: Tensor<2>,
) -> (Tensor<3>, Tensor<2>) {
    check(4, &projected, &weight, &[&hidden, &cell]);
    if !has_fast_body(&projected) {
        return reference::lstm_sequence(projected, weight, hidden, cell);
    }
    let (hidden, cell) = (hidden.into_dispatch(), cell.into_dispatch());
    let (outputs, cell) = Dispatch::lstm_sequence(projected.into_dispatch(), weight.into_dispatch(), hidden, cell);
    (Tensor::from_dispatch(outputs), Tensor::from_dispatch(cell))
}

impl<B: LstmOps + LstmGradients, C: CheckpointStrategy> LstmOps for Autodiff<B, C> {
    fn lstm_sequence(
        projected: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        hidden: FloatTensor<Self>,
        cell: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let inputs = [projected.node(), weight.node(), hidden.node(), cell.node()];
        let operands = LstmOperands::<B> {
            weight: weight.into_primitive(),
            hidden: hidden.into_primitive(),
            cell: cell.into_primitive(),
        };
        let (outputs, last_cell, kept) = B::lstm_keeping(projected.into_primitive(), operands.clone());
        let letter_box = LetterBox::<B>::default();
        let like = outputs.clone();
        let state = (operands, kept, letter_box.clone());
        let outputs = record::<B, C, _, 4>(inputs, outputs, state, |(operands, kept, letter_box), gradient, _| {
            B::lstm_backward(operands, kept, gradient, letter_box.empty()).map(Some)
        });
        // Burn's graph allows one output per operation. The last cell is a second one, whose gradient, which is rarely
        // present, is left for the backward of the outputs to find; the outputs get zeros, so that it runs at all.
        let state = (letter_box, like);
        let last_cell = record::<B, C, _, 1>([outputs.node()], last_cell, state, |(letter_box, like), gradient, _| {
            letter_box.fill(gradient);
            [Some(B::float_zeros(like.shape(), &like.device(), like.dtype().into()))]
        });
        (outputs, last_cell)
    }
}

/// Where one backward leaves a gradient for another.
struct LetterBox<B: Backend>(Arc<Mutex<Option<FloatTensor<B>>>>);

impl<B: Backend> LetterBox<B> {
    fn fill(&self, gradient: FloatTensor<B>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(gradient);
    }

    fn empty(&self) -> Option<FloatTensor<B>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl<B: Backend> Default for LetterBox<B> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(None)))
    }
}

impl<B: Backend> Clone for LetterBox<B> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<B: Backend> std::fmt::Debug for LetterBox<B> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("letter box")
    }
}
