//! The Elman network's layer.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use kiln_kernels::{RnnActivation, affine, rnn_sequence};

use super::config::{Activation, RnnConfig};
use super::model::{RecurrentLayer, RecurrentModel, last_step};
use super::state::LayerState;
use crate::layers::Initializer;

/// One layer of an Elman network (Elman 1990, [Finding structure in time](https://doi.org/10.1207/s15516709cog1402_1)):
///
/// ```text
/// h_t = phi(V h_(t-1) + U x_t + c)        phi = tanh or relu
/// ```
///
/// with U the input weight, V the hidden weight and c the bias. The network's outputs o_t = W h_t + b belong to
/// [`RecurrentModel`], whose head gives logits; the softmax psi is the loss's.
#[derive(Module, Debug)]
pub struct RnnLayer {
    /// U, `[in, H]`.
    pub input_weight: Param<Tensor<2>>,
    /// V, `[H, H]`.
    pub hidden_weight: Param<Tensor<2>>,
    /// c, `[H]`.
    pub bias: Param<Tensor<1>>,
    /// phi.
    #[module(skip)]
    activation: Activation,
}

impl RnnConfig {
    /// The model with fresh weights, drawn at once.
    pub(crate) fn init(&self, vocabulary: usize, initializer: &mut Initializer<'_>) -> RecurrentModel<RnnLayer> {
        let sizes = self.sizes();
        RecurrentModel::init(sizes, vocabulary, initializer, |input, initializer| {
            RnnLayer::init(input, sizes.hidden, self.activation, initializer)
        })
    }
}

impl RnnLayer {
    pub(crate) fn init(input: usize, hidden: usize, activation: Activation, initializer: &mut Initializer<'_>) -> Self {
        let bound = 1.0 / (hidden as f64).sqrt();
        Self {
            input_weight: initializer.uniform([input, hidden], bound),
            hidden_weight: initializer.uniform([hidden, hidden], bound),
            bias: initializer.uniform([hidden], bound),
            activation,
        }
    }
}

impl RecurrentLayer for RnnLayer {
    fn hidden_size(&self) -> usize {
        self.hidden_weight.dims()[0]
    }

    fn initial_state(&self, rows: usize) -> LayerState {
        let hidden = Tensor::zeros([rows, self.hidden_size()], &self.hidden_weight.val().device());
        LayerState { hidden, cell: None }
    }

    fn project(&self, inputs: Tensor<2>) -> Tensor<2> {
        affine(inputs, self.input_weight.val(), Some(self.bias.val()), None)
    }

    fn forward(&self, projected: Tensor<3>, state: LayerState) -> (Tensor<3>, LayerState) {
        let activation = match self.activation {
            Activation::Tanh => RnnActivation::Tanh,
            Activation::Relu => RnnActivation::Relu,
        };
        let outputs = rnn_sequence(projected, self.hidden_weight.val(), state.hidden, activation);
        let hidden = last_step(&outputs);
        (outputs, LayerState { hidden, cell: None })
    }
}
