//! Embedding, layers, head.

use burn::module::{Module, ModuleDisplay};
use burn::tensor::{Int, Tensor, assert_shape};
use kiln_kernels::{Draws, dropout, embedding};

use super::config::RecurrentSizes;
use super::state::{LayerState, RecurrentState};
use crate::layers::{Embedding, Head, Initializer};

/// One layer of a recurrent network over a time-major sequence.
pub trait RecurrentLayer: Module + ModuleDisplay {
    /// Width of the state, H.
    fn hidden_size(&self) -> usize;

    /// The state before the first token: zeros for `rows` rows.
    fn initial_state(&self, rows: usize) -> LayerState;

    /// The part of the layer that needs no state, x W + b: `[N, in]` to `[N, F]`, where F is H for each gate.
    fn project(&self, inputs: Tensor<2>) -> Tensor<2>;

    /// All steps of a window.
    ///
    /// # Shapes
    /// - `projected`: what [`project`](Self::project) made of the inputs, `[T, B, F]`
    /// - output: every h_t, `[T, B, H]`, and the state after the last
    ///
    /// # Panics
    /// When the state is not of this layer's kind and `[B, H]`.
    fn forward(&self, projected: Tensor<3>, state: LayerState) -> (Tensor<3>, LayerState);
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

impl<L: RecurrentLayer> RecurrentModel<L> {
    pub(crate) fn init(
        sizes: RecurrentSizes,
        vocabulary: usize,
        initializer: &mut Initializer<'_>,
        layer: impl Fn(usize, &mut Initializer<'_>) -> L,
    ) -> Self {
        let embedding_deviation = if sizes.tied { 1.0 / (sizes.embedding as f64).sqrt() } else { 1.0 };
        let bound = 1.0 / (sizes.hidden as f64).sqrt();
        Self {
            embedding: Embedding::init(vocabulary, sizes.embedding, embedding_deviation, initializer),
            layers: (0..sizes.layers).map(|index| layer(sizes.input_of(index), initializer)).collect(),
            output: Head {
                weight: (!sizes.tied).then(|| initializer.uniform([sizes.hidden, vocabulary], bound)),
                bias: Some(initializer.uniform([vocabulary], bound)),
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
        let logits = self.output.forward(hidden, &self.embedding);
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
        let losses = self.output.losses(hidden, &self.embedding, targets);
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
        let tokens = tokens.swap_dims(0, 1);
        let mut below: Option<Tensor<3>> = None;
        let mut after = Vec::with_capacity(self.layers.len());
        for (layer, before) in self.layers.iter().zip(state.layers) {
            let projected = match below {
                None => self.project_tokens(layer, tokens.clone()),
                Some(below) => project_rows(layer, dropout(below, self.dropout, draws.take())),
            };
            let (outputs, state) = layer.forward(projected, before);
            below = Some(outputs);
            after.push(state);
        }
        let Some(hidden) = below else { panic!("a recurrent model has a layer at least") };
        let hidden = dropout(hidden, self.output_dropout, draws.take());
        (hidden.reshape([steps * rows, self.hidden_size()]), RecurrentState { layers: after })
    }

    /// What the lowest layer makes of tokens `[T, B]` without its state, `[T, B, F]`.
    ///
    /// A token's row is the same wherever it stands. So where a window has more tokens than the vocabulary, the whole
    /// table is projected once and its rows are looked up after that; the gradient likewise is added up for each token
    /// of the vocabulary before it goes through the weight.
    fn project_tokens(&self, layer: &L, tokens: Tensor<2, Int>) -> Tensor<3> {
        if tokens.shape().num_elements() > self.vocabulary_size() {
            embedding(layer.project(self.embedding.weight.val()), tokens)
        } else {
            project_rows(layer, self.embedding.forward(tokens))
        }
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
}

/// [`RecurrentLayer::project`] of all rows of a sequence in one product, `[T, B, in]` to `[T, B, F]`.
pub(super) fn project_rows(layer: &impl RecurrentLayer, sequence: Tensor<3>) -> Tensor<3> {
    let [steps, rows, input] = sequence.dims();
    let projected = layer.project(sequence.reshape([steps * rows, input]));
    let [_, width] = projected.dims();
    projected.reshape([steps, rows, width])
}

/// The last of the states `[T, B, H]`, `[B, H]`.
pub(super) fn last_step(outputs: &Tensor<3>) -> Tensor<2> {
    let [steps, _, _] = outputs.dims();
    outputs.clone().narrow(0, steps - 1, 1).squeeze_dim(0)
}
