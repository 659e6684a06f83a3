//! The GRU's layer.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use kiln_kernels::{affine, gru_sequence};

use super::config::GruConfig;
use super::model::{RecurrentLayer, RecurrentModel, last_step};
use super::state::LayerState;
use crate::layers::Initializer;

/// One layer of gated recurrent units (Cho et al. 2014, <https://arxiv.org/abs/1406.1078>), in the variant that PyTorch
/// and cuDNN compute, with the reset gate applied after the product and its bias:
///
/// ```text
/// (r, z) = sigmoid(x_t W + h_(t-1) R + b)              reset and update gate
///     n  = tanh(x_t W + b + r * (h_(t-1) R + d))       candidate
///   h_t  = (1 - z) * n + z * h_(t-1)
/// ```
///
/// The columns of W, R and b are three blocks of width H in the order r, z, n.
#[derive(Module, Debug)]
pub struct GruLayer {
    /// W, `[in, 3 H]`.
    pub input_weight: Param<Tensor<2>>,
    /// R, `[H, 3 H]`.
    pub hidden_weight: Param<Tensor<2>>,
    /// b, `[3 H]`.
    pub bias: Param<Tensor<1>>,
    /// d, `[H]`: the candidate's bias inside the reset gate's product.
    pub hidden_bias: Param<Tensor<1>>,
}

impl GruConfig {
    /// The model with fresh weights, drawn at once.
    pub(crate) fn init(&self, vocabulary: usize, initializer: &mut Initializer<'_>) -> RecurrentModel<GruLayer> {
        let sizes = self.sizes();
        RecurrentModel::init(sizes, vocabulary, initializer, |input, initializer| {
            GruLayer::init(input, sizes.hidden, initializer)
        })
    }
}

impl GruLayer {
    pub(crate) fn init(input: usize, hidden: usize, initializer: &mut Initializer<'_>) -> Self {
        let bound = 1.0 / (hidden as f64).sqrt();
        Self {
            input_weight: initializer.uniform([input, 3 * hidden], bound),
            hidden_weight: initializer.uniform([hidden, 3 * hidden], bound),
            bias: initializer.uniform([3 * hidden], bound),
            hidden_bias: initializer.uniform([hidden], bound),
        }
    }
}

impl RecurrentLayer for GruLayer {
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
        let outputs = gru_sequence(projected, self.hidden_weight.val(), self.hidden_bias.val(), state.hidden);
        let hidden = last_step(&outputs);
        (outputs, LayerState { hidden, cell: None })
    }
}
