//! One layer of a recurrent network.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::activation::sigmoid;
use kiln_kernels::{Draws, fill_uniform};

use super::cell::Cell;
use super::state::LayerState;
use crate::adapter::Adapter;
use crate::initializer::Initializer;
use crate::layers::narrowed;
use crate::weight::{Orientation, Weight};

/// One layer of a recurrent network over a time-major sequence; its [`Cell`] has the equations.
#[derive(Module, Debug)]
pub struct RecurrentLayer {
    /// W, `[in, gates H]`.
    pub input_weight: Weight,
    /// A, `[in, rank]`, where x A W stands for x W with a W of more numbers; W is `[rank, G H]` then.
    pub input_narrow: Option<Weight>,
    /// What is added to the product with W, where only that is trained.
    pub input_adapter: Option<Adapter>,
    /// R, `[H, gates H]`.
    pub hidden_weight: Weight,
    /// b, `[gates H]`.
    pub bias: Param<Tensor<1>>,
    /// d, `[H]`; `None` in cells without it.
    pub hidden_bias: Option<Param<Tensor<1>>>,
    #[module(skip)]
    cell: Cell,
}

impl RecurrentLayer {
    pub(crate) fn init(cell: Cell, input: usize, hidden: usize, initializer: &mut Initializer<'_>) -> Self {
        let bound = 1.0 / (hidden as f64).sqrt();
        let columns = cell.gates() * hidden;
        Self {
            input_weight: Weight::Parameter(initializer.uniform([input, columns], bound)),
            input_narrow: None,
            input_adapter: None,
            hidden_weight: Weight::Parameter(initializer.uniform([hidden, columns], bound)),
            bias: initializer.parameter([columns], |seed, stream, values| {
                fill_uniform(seed, stream, bound, values);
                if let Cell::Lstm(forget_bias) = cell {
                    values[hidden..2 * hidden].fill(forget_bias as f32);
                }
            }),
            hidden_bias: cell.has_hidden_bias().then(|| initializer.uniform([hidden], bound)),
            cell,
        }
    }

    /// Width of the state, H.
    pub(crate) fn hidden_size(&self) -> usize {
        self.hidden_weight.dims(Orientation::Projection)[0]
    }

    /// The state before the first token: zeros for `rows` rows.
    pub(crate) fn initial_state(&self, rows: usize) -> LayerState {
        let zeros = Tensor::zeros([rows, self.hidden_size()], &self.hidden_weight.device());
        LayerState { cell: self.cell.has_memory().then(|| zeros.clone()), hidden: zeros }
    }

    /// The part of the layer that needs no state, x W + b: `[N, in]` to `[N, gates H]`.
    pub(crate) fn project(&self, inputs: Tensor<2>, draws: &mut Draws) -> Tensor<2> {
        let adapter = self.input_adapter.as_ref();
        let beside = adapter.map(|adapter| adapter.forward(inputs.clone(), None, draws));
        let inputs = narrowed(self.input_narrow.as_ref(), inputs);
        self.input_weight.project(inputs, Some(self.bias.val()), beside)
    }

    /// Whether a token's row is projected as any other of the same token: nothing is dropped from it, nor seen.
    pub(crate) fn is_a_function_of_tokens(&self) -> bool {
        let drops = self.input_adapter.as_ref().is_some_and(Adapter::has_dropout);
        !drops && !self.input_weight.is_observed()
    }

    /// [`project`](Self::project) of all rows of a sequence in one product, `[T, B, in]` to `[T, B, gates H]`.
    pub(crate) fn project_rows(&self, sequence: Tensor<3>, draws: &mut Draws) -> Tensor<3> {
        let [steps, rows, input] = sequence.dims();
        let projected = self.project(sequence.reshape([steps * rows, input]), draws);
        let [_, width] = projected.dims();
        projected.reshape([steps, rows, width])
    }

    /// One step: the inputs `[B, in]` and the state before it to the state after it, and of an LSTM the slope of h by
    /// c, o (1 - tanh(c)^2), which the fused operation doesn't show.
    pub(crate) fn step(&self, input: Tensor<2>, state: LayerState) -> (LayerState, Option<Tensor<2>>) {
        let projected = self.project(input, &mut Draws::none());
        let before = state.hidden.clone();
        let (_, after) = self.forward(projected.clone().unsqueeze_dim(0), state);
        let slope = after.cell.as_ref().map(|cell| {
            let width = self.hidden_size();
            let gates = projected.inner() + before.inner().matmul(self.hidden_weight.val().inner());
            sigmoid(gates.narrow(1, 2 * width, width)) * (1.0 - cell.clone().inner().tanh().powi_scalar(2))
        });
        (after, slope)
    }

    /// All steps of a window.
    ///
    /// # Shapes
    /// - `projected`: what [`project`](Self::project) made of the inputs, `[T, B, gates H]`
    /// - output: every h_t, `[T, B, H]`, and the state after the last
    ///
    /// # Panics
    /// When the state is not of this layer's kind and `[B, H]`.
    pub(crate) fn forward(&self, projected: Tensor<3>, state: LayerState) -> (Tensor<3>, LayerState) {
        let (weight, hidden) = (&self.hidden_weight, state.hidden);
        let (outputs, cell) = match (self.cell, state.cell) {
            (Cell::Rnn(activation), None) => (weight.rnn(projected, hidden, activation.into()), None),
            (Cell::Lstm(_), Some(cell)) => {
                let (outputs, cell) = weight.lstm(projected, hidden, cell);
                (outputs, Some(cell))
            }
            (Cell::Gru, None) => {
                let Some(bias) = &self.hidden_bias else { unreachable!("a GRU is made with its hidden bias") };
                (weight.gru(projected, bias.val(), hidden), None)
            }
            (Cell::Lstm(_), None) => panic!("an LSTM was given the state of a model without memory cells"),
            (Cell::Rnn(_) | Cell::Gru, Some(_)) => {
                panic!("a layer without memory cells was given the state of an LSTM")
            }
        };
        let hidden = last_step(&outputs);
        (outputs, LayerState { hidden, cell })
    }
}

/// The last of the states `[T, B, H]`, `[B, H]`.
fn last_step(outputs: &Tensor<3>) -> Tensor<2> {
    let [steps, _, _] = outputs.dims();
    outputs.clone().narrow(0, steps - 1, 1).squeeze_dim(0)
}
