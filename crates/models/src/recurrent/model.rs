//! Embedding, layers, head.

use burn::module::{Module, ModuleDisplay, Param};
use burn::tensor::{Device, Int, Tensor, assert_shape};
use kiln_kernels::{Draws, affine, dropout};

use super::config::RecurrentSizes;
use super::state::{LayerState, RecurrentState};
use crate::layers::{Embedding, losses_of_projection, uniform};

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
    /// Probability of dropout between layers.
    dropout: f64,
    /// Probability of dropout before the head.
    output_dropout: f64,
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
            dropout: sizes.dropout,
            output_dropout: sizes.output_dropout,
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
        let (hidden, state) = self.hidden(tokens, state, &mut Draws::none());
        let logits = affine(hidden, self.head_weight(), Some(self.output.bias.val()), None);
        (logits.reshape([steps, rows, self.vocabulary_size()]).swap_dims(0, 1), state)
    }

    /// Loss of the token after each token of a window, `[B, T]`, nats, and the state after the window.
    ///
    /// # Panics
    /// As [`forward`](Self::forward), and when a target is no token id.
    pub fn losses(
        &self,
        tokens: Tensor<2, Int>,
        targets: Tensor<2, Int>,
        state: Option<RecurrentState>,
        draws: &mut Draws,
    ) -> (Tensor<2>, RecurrentState) {
        let [rows, steps] = tokens.dims();
        assert_shape!(targets, [rows, steps]);
        let (hidden, state) = self.hidden(tokens, state, draws);
        // Time-major, as the hidden states are: so only the targets and the losses are turned, which are small.
        let targets = targets.swap_dims(0, 1).reshape([steps * rows]);
        let losses = losses_of_projection(hidden, self.head_weight(), Some(self.output.bias.val()), targets);
        (losses.reshape([steps, rows]).swap_dims(0, 1), state)
    }

    /// What the head reads, `[T * B, H]`, and the state after the window.
    fn hidden(
        &self,
        tokens: Tensor<2, Int>,
        state: Option<RecurrentState>,
        draws: &mut Draws,
    ) -> (Tensor<2>, RecurrentState) {
        let [rows, steps] = tokens.dims();
        let state = state.unwrap_or_else(|| self.initial_state(rows));
        assert_eq!(state.layers.len(), self.layers.len(), "a state has one entry for each layer of its model");
        let mut sequence = self.embedding.forward(tokens.swap_dims(0, 1));
        let mut after = Vec::with_capacity(self.layers.len());
        for (index, (layer, before)) in self.layers.iter().zip(state.layers).enumerate() {
            if index > 0 {
                sequence = dropout(sequence, self.dropout, draws.take());
            }
            let (outputs, state) = layer.forward(sequence, before);
            sequence = outputs;
            after.push(state);
        }
        let hidden = dropout(sequence, self.output_dropout, draws.take());
        (hidden.reshape([steps * rows, self.hidden_size()]), RecurrentState { layers: after })
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

    /// `[H, V]`.
    fn head_weight(&self) -> Tensor<2> {
        self.output.weight.as_ref().map_or_else(|| self.embedding.transposed(), Param::val)
    }
}

/// The part of a layer that needs no state, for all steps in one product: `[T, B, in]` with W `[in, F]` and b `[F]` to
/// `[T, B, F]`.
pub(super) fn project_inputs(sequence: Tensor<3>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<3> {
    let [steps, rows, input] = sequence.dims();
    let [_, width] = weight.dims();
    assert_shape!(weight, [input, width]);
    affine(sequence.reshape([steps * rows, input]), weight, Some(bias), None).reshape([steps, rows, width])
}

/// The last of the states `[T, B, H]`, `[B, H]`.
pub(super) fn last_step(outputs: &Tensor<3>) -> Tensor<2> {
    let [steps, _, _] = outputs.dims();
    outputs.clone().narrow(0, steps - 1, 1).squeeze_dim(0)
}
