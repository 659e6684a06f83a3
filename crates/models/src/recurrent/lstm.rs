//! The LSTM's layer.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use kiln_kernels::{affine, fill_uniform, lstm_sequence};

use super::config::LstmConfig;
use super::model::{RecurrentLayer, RecurrentModel, last_step};
use super::state::LayerState;
use crate::layers::Initializer;

/// One layer of long short-term memory (Hochreiter and Schmidhuber 1997, <https://doi.org/10.1162/neco.1997.9.8.1735>,
/// with the forget gate of Gers, Schmidhuber and Cummins 2000, <https://doi.org/10.1162/089976600300015015>):
///
/// ```text
/// (i, f, o) = sigmoid(x_t W + h_(t-1) R + b)   input, forget and output gate
///        g  =    tanh(x_t W + h_(t-1) R + b)   candidate
///       c_t = f * c_(t-1) + i * g
///       h_t = o * tanh(c_t)
/// ```
///
/// The columns of W, R and b are four blocks of width H in the order i, f, o, g, so that the three sigmoids are one
/// operation (PyTorch's order is i, f, g, o, with a second bias that adds to the first).
#[derive(Module, Debug)]
pub struct LstmLayer {
    /// W, `[in, 4 H]`.
    pub input_weight: Param<Tensor<2>>,
    /// R, `[H, 4 H]`.
    pub hidden_weight: Param<Tensor<2>>,
    /// b, `[4 H]`.
    pub bias: Param<Tensor<1>>,
}

impl LstmConfig {
    /// The model with fresh weights, drawn at once.
    pub(crate) fn init(&self, vocabulary: usize, initializer: &mut Initializer<'_>) -> RecurrentModel<LstmLayer> {
        let sizes = self.sizes();
        RecurrentModel::init(sizes, vocabulary, initializer, |input, initializer| {
            LstmLayer::init(input, sizes.hidden, self.forget_bias, initializer)
        })
    }
}

impl LstmLayer {
    pub(crate) fn init(input: usize, hidden: usize, forget_bias: f64, initializer: &mut Initializer<'_>) -> Self {
        let bound = 1.0 / (hidden as f64).sqrt();
        let input_weight = initializer.uniform([input, 4 * hidden], bound);
        let hidden_weight = initializer.uniform([hidden, 4 * hidden], bound);
        let bias = initializer.parameter([4 * hidden], |seed, stream, values| {
            fill_uniform(seed, stream, bound, values);
            values[hidden..2 * hidden].fill(forget_bias as f32);
        });
        Self { input_weight, hidden_weight, bias }
    }
}

impl RecurrentLayer for LstmLayer {
    fn hidden_size(&self) -> usize {
        self.hidden_weight.dims()[0]
    }

    fn initial_state(&self, rows: usize) -> LayerState {
        let zeros = Tensor::zeros([rows, self.hidden_size()], &self.hidden_weight.val().device());
        LayerState { hidden: zeros.clone(), cell: Some(zeros) }
    }

    fn project(&self, inputs: Tensor<2>) -> Tensor<2> {
        affine(inputs, self.input_weight.val(), Some(self.bias.val()), None)
    }

    fn forward(&self, projected: Tensor<3>, state: LayerState) -> (Tensor<3>, LayerState) {
        let Some(cell) = state.cell else { panic!("an LSTM was given the state of a model without memory cells") };
        let (outputs, cell) = lstm_sequence(projected, self.hidden_weight.val(), state.hidden, cell);
        let hidden = last_step(&outputs);
        (outputs, LayerState { hidden, cell: Some(cell) })
    }
}
