//! Embedding, layers, head.

use burn::module::{Module, ModuleDisplay, Param};
use burn::nn::{Dropout, DropoutConfig};
use burn::tensor::{Device, Int, Tensor, assert_shape};

use super::config::RecurrentSizes;
use super::state::{LayerState, RecurrentState};
use crate::layers::{Embedding, uniform};

/// One layer of a recurrent network over a time-major sequence.
pub trait RecurrentLayer: Module + ModuleDisplay {
    /// Width of the state, H.
    fn hidden_size(&self) -> usize;

    /// The state before the first token: zeros for `rows` rows.
    fn initial_state(&self, rows: usize) -> LayerState;

    /// All steps of a window.
    ///
    /// # Shapes
    /// - `sequence`: `[T, B, in]`
    /// - output: every h_t, `[T, B, H]`, and the state after the last
    ///
    /// # Panics
    /// When the state is not of this layer's kind and `[B, H]`.
    fn forward(&self, sequence: Tensor<3>, state: LayerState) -> (Tensor<3>, LayerState);
}

/// A stack of recurrent layers between an embedding and a head: o_t = h_t W + b.
///
/// Dropout (Zaremba et al. 2014, <https://arxiv.org/abs/1409.2329>) acts on what goes up from layer to layer and,
/// separately configured, to the head; never on what a layer hands to its own next step.
#[derive(Module, Debug)]
pub struct RecurrentModel<L> {
    /// One row a token, `[V, E]`.
    pub embedding: Embedding,
    /// The lowest first.
    pub layers: Vec<L>,
    /// W and b.
    pub output: Head,
    dropout: Dropout,
    output_dropout: Dropout,
}

/// The head of a recurrent model.
#[derive(Module, Debug)]
pub struct Head {
    /// W, `[H, V]`; `None` when the head is tied to the embedding.
    pub weight: Option<Param<Tensor<2>>>,
    /// b, `[V]`.
    pub bias: Param<Tensor<1>>,
}

impl<L: RecurrentLayer> RecurrentModel<L> {
    pub(crate) fn init(sizes: RecurrentSizes, vocabulary: usize, device: &Device, layer: impl Fn(usize) -> L) -> Self {
        let embedding_deviation = if sizes.tied { 1.0 / (sizes.embedding as f64).sqrt() } else { 1.0 };
        let bound = 1.0 / (sizes.hidden as f64).sqrt();
        Self {
            embedding: Embedding::init(vocabulary, sizes.embedding, embedding_deviation, device),
            layers: (0..sizes.layers).map(|index| layer(sizes.input_of(index))).collect(),
            output: Head {
                weight: (!sizes.tied).then(|| uniform([sizes.hidden, vocabulary], bound, device)),
                bias: uniform([vocabulary], bound, device),
            },
            dropout: DropoutConfig::new(sizes.dropout).init(),
            output_dropout: DropoutConfig::new(sizes.output_dropout).init(),
        }
    }

    /// Logits for the token after each token of a window, and the state after the window.
    ///
    /// # Shapes
    /// - `tokens`: `[B, T]`
    /// - output: `[B, T, V]`
    ///
    /// # Panics
    /// When the state is another model's, or for another number of rows.
    pub fn forward(&self, tokens: Tensor<2, Int>, state: Option<RecurrentState>) -> (Tensor<3>, RecurrentState) {
        let [rows, steps] = tokens.dims();
        let state = state.unwrap_or_else(|| self.initial_state(rows));
        assert_eq!(state.layers.len(), self.layers.len(), "a state has one entry for each layer of its model");
        let mut sequence = self.embedding.forward(tokens.swap_dims(0, 1));
        let mut after = Vec::with_capacity(self.layers.len());
        for (index, (layer, before)) in self.layers.iter().zip(state.layers).enumerate() {
            if index > 0 {
                sequence = self.dropout.forward(sequence);
            }
            let (outputs, state) = layer.forward(sequence, before);
            sequence = outputs;
            after.push(state);
        }
        let logits = self.logits(self.output_dropout.forward(sequence).reshape([steps * rows, self.hidden_size()]));
        let logits = logits.reshape([steps, rows, self.vocabulary_size()]).swap_dims(0, 1);
        (logits, RecurrentState { layers: after })
    }

    /// The state before the first token: zeros.
    pub fn initial_state(&self, rows: usize) -> RecurrentState {
        RecurrentState { layers: self.layers.iter().map(|layer| layer.initial_state(rows)).collect() }
    }

    /// Number of token ids, V.
    pub fn vocabulary_size(&self) -> usize {
        self.embedding.rows()
    }

    fn hidden_size(&self) -> usize {
        self.layers.last().map_or(0, RecurrentLayer::hidden_size)
    }

    /// `[N, H]` to `[N, V]`.
    fn logits(&self, hidden: Tensor<2>) -> Tensor<2> {
        let bias = self.output.bias.val();
        match &self.output.weight {
            Some(weight) => burn::tensor::module::linear(hidden, weight.val(), Some(bias)),
            None => self.embedding.transposed_product(hidden) + bias.unsqueeze(),
        }
    }
}

/// The part of a layer that needs no state, for all steps in one product: `[T, B, in]` with W `[in, F]` and b `[F]` to
/// `[T, B, F]`.
pub(super) fn project_inputs(sequence: Tensor<3>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<3> {
    let [steps, rows, input] = sequence.dims();
    let [_, width] = weight.dims();
    assert_shape!(weight, [input, width]);
    let flat = sequence.reshape([steps * rows, input]);
    burn::tensor::module::linear(flat, weight, Some(bias)).reshape([steps, rows, width])
}
