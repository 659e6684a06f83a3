//! The LSTM's sequence.

pub(super) mod cpu;
#[cfg(feature = "cube")]
mod cube;
mod flex;
pub(crate) mod reference;

use std::sync::{Arc, Mutex, PoisonError};

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
#[cfg(feature = "fusion")]
use burn::backend::fusion::custom::TensorSpec;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, TensorMetadata, backend_extension};
#[cfg(feature = "fusion")]
use burn::tensor::Shape;
use burn::tensor::Tensor;

use super::tensors::{check, has_body};
use crate::autodiff::record;

/// The operation as a backend extension.
#[backend_extension(Autodiff, Flex, Cube: cfg(feature = "cube"), Fusion: cfg(feature = "fusion"))]
pub(crate) trait LstmOps: Backend {
    /// `[T, B, 4 H]`, `[H, 4 H]`, `[B, H]` and `[B, H]` to all outputs `[T, B, H]` and the last cell `[B, H]`.
    #[fusion(meta = |projected, weight, hidden, cell| {
        let _ = (weight, hidden);
        (states_of(projected, 0), cell.clone())
    })]
    fn lstm_sequence(
        projected: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        hidden: FloatTensor<Self>,
        cell: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
}

/// Its gradients. What the backward needs is all h_t, all c_t, and all gates after their activation; on a GPU, h_0 and
/// c_0 are in front of the others.
#[backend_extension(Flex, Cube: cfg(feature = "cube"), Fusion: cfg(feature = "fusion"))]
pub(crate) trait LstmGradients: Backend {
    /// The outputs, the last cell, and what the backward needs.
    #[fusion(meta = |projected, weight, hidden, cell| {
        let _ = (weight, hidden);
        let states = states_of(projected, 1);
        (states_of(projected, 0), cell.clone(), states.clone(), states, projected.clone())
    })]
    #[allow(clippy::type_complexity, reason = "a backend extension gives tensors one by one")]
    fn lstm_keeping(
        projected: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        hidden: FloatTensor<Self>,
        cell: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
    /// Gradients of projected inputs, weight, first output and first cell.
    #[fusion(meta = |weight, hidden, cell, states, cells, gates, gradient, last_cell_gradient| {
        let _ = (states, cells, gradient, last_cell_gradient);
        (gates.clone(), weight.clone(), hidden.clone(), cell.clone())
    })]
    #[allow(clippy::too_many_arguments, reason = "a backend extension takes tensors one by one")]
    fn lstm_backward(
        weight: FloatTensor<Self>,
        hidden: FloatTensor<Self>,
        cell: FloatTensor<Self>,
        states: FloatTensor<Self>,
        cells: FloatTensor<Self>,
        gates: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        last_cell_gradient: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

/// The states `[T + more, B, H]` that belong to projected inputs.
#[cfg(feature = "fusion")]
fn states_of(projected: &TensorSpec, more: usize) -> TensorSpec {
    let [steps, rows, columns]: [usize; 3] = projected.shape.dims();
    TensorSpec::new(Shape::new([steps + more, rows, columns / 4]), projected.dtype)
}

/// What the backward needs.
#[derive(Debug, Clone)]
struct Kept<B: Backend> {
    weight: FloatTensor<B>,
    hidden: FloatTensor<B>,
    cell: FloatTensor<B>,
    states: FloatTensor<B>,
    cells: FloatTensor<B>,
    gates: FloatTensor<B>,
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
    if !has_body(&projected) {
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
        let (weight, hidden, cell) = (weight.into_primitive(), hidden.into_primitive(), cell.into_primitive());
        let (outputs, last_cell, states, cells, gates) =
            B::lstm_keeping(projected.into_primitive(), weight.clone(), hidden.clone(), cell.clone());
        let letter_box = LetterBox::<B>::default();
        let like = outputs.clone();
        let state = (Kept::<B> { weight, hidden, cell, states, cells, gates }, letter_box.clone());
        let outputs = record::<B, C, _, 4>(inputs, outputs, state, |(kept, letter_box), gradient, _| {
            let Kept { weight, hidden, cell, states, cells, gates } = kept;
            let last_cell = letter_box.empty().unwrap_or_else(|| zeros_like::<B>(&cell));
            let (projected, weight, hidden, cell) =
                B::lstm_backward(weight, hidden, cell, states, cells, gates, gradient, last_cell);
            [projected, weight, hidden, cell].map(Some)
        });
        // Burn's graph allows one output per operation. The last cell is a second one, whose gradient, which is rarely
        // present, is left for the backward of the outputs to find; the outputs get zeros, so that it runs at all.
        let state = (letter_box, like);
        let last_cell = record::<B, C, _, 1>([outputs.node()], last_cell, state, |(letter_box, like), gradient, _| {
            letter_box.fill(gradient);
            [Some(zeros_like::<B>(&like))]
        });
        (outputs, last_cell)
    }
}

fn zeros_like<B: Backend>(tensor: &FloatTensor<B>) -> FloatTensor<B> {
    B::float_zeros(tensor.shape(), &tensor.device(), tensor.dtype().into())
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
