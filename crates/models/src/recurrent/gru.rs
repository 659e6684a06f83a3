//! The GRU's layer.

use burn::module::{Module, Param};

use burn::tensor::{Device, Tensor, assert_shape};

use super::config::GruConfig;
use super::model::{RecurrentLayer, RecurrentModel, project_inputs};
use super::state::LayerState;
use super::steps::split_steps;
use crate::layers::{sigmoid, tanh, uniform};

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
    pub(crate) fn init(&self, vocabulary: usize, device: &Device) -> RecurrentModel<GruLayer> {
        let sizes = self.sizes();
        RecurrentModel::init(sizes, vocabulary, device, |input| GruLayer::init(input, sizes.hidden, device))
    }
}

impl GruLayer {
    pub(crate) fn init(input: usize, hidden: usize, device: &Device) -> Self {
        let bound = 1.0 / (hidden as f64).sqrt();
        Self {
            input_weight: uniform([input, 3 * hidden], bound, device),
            hidden_weight: uniform([hidden, 3 * hidden], bound, device),
            bias: uniform([3 * hidden], bound, device),
            hidden_bias: uniform([hidden], bound, device),
        }
    }

    /// The time loop: x_t W + b for all steps `[T, B, 3 H]` and h_0 `[B, H]` to all h_t.
    fn time_loop(&self, projected: Tensor<3>, mut hidden: Tensor<2>) -> Vec<Tensor<2>> {
        let width = self.hidden_size();
        let [steps, rows, _] = projected.dims();
        // [3, H, H]
        let weight = self.hidden_weight.val().reshape([width, 3, width]).swap_dims(0, 1);
        let hidden_bias = self.hidden_bias.val().unsqueeze::<2>();
        let mut outputs = Vec::with_capacity(steps);
        for step in split_steps::<4, 3>(projected.reshape([steps, rows, 3, width])) {
            let step = step.swap_dims(0, 1);
            let recurrent = hidden.clone().unsqueeze::<3>().matmul(weight.clone());
            let gates = sigmoid(recurrent.clone().narrow(0, 0, 2) + step.clone().narrow(0, 0, 2));
            let reset = gates.clone().narrow(0, 0, 1).squeeze_dim::<2>(0);
            let update = gates.narrow(0, 1, 1).squeeze_dim::<2>(0);
            let inner = recurrent.narrow(0, 2, 1).squeeze_dim::<2>(0) + hidden_bias.clone();
            let candidate = tanh(reset * inner + step.narrow(0, 2, 1).squeeze_dim::<2>(0));
            hidden = candidate.clone() + update * (hidden - candidate);
            outputs.push(hidden.clone());
        }
        outputs
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

    fn forward(&self, sequence: Tensor<3>, state: LayerState) -> (Tensor<3>, LayerState) {
        let [_, rows, _] = sequence.dims();
        assert_shape!(state.hidden, [rows, self.hidden_size()]);
        let projected = project_inputs(sequence, self.input_weight.val(), self.bias.val());
        let outputs = self.time_loop(projected, state.hidden);
        let hidden = outputs[outputs.len() - 1].clone();
        (Tensor::stack(outputs, 0), LayerState { hidden, cell: None })
    }
}
