//! Embedding, layers, head.

use std::collections::BTreeSet;

use burn::module::Module;
use burn::tensor::{Int, Tensor, assert_shape};
use kiln_kernels::{Draws, dropout, embedding};

use super::config::RecurrentSizes;
use super::layer::RecurrentLayer;
use super::state::RecurrentState;
use crate::adapter::Adapter;
use crate::documents::DocumentStarts;
use crate::initializer::Initializer;
use crate::layers::{Embedding, Head};
use crate::matrix::{Matrix, Product};
use crate::rows;
use crate::weight::Weight;

/// A stack of recurrent layers between an embedding and a head: o_t = h_t W + b.
///
/// Dropout (Zaremba et al. 2014, <https://arxiv.org/abs/1409.2329>) acts on what goes up from layer to layer and,
/// separately configured, to the head; never on what a layer hands to its own next step.
#[derive(Module, Debug)]
pub struct RecurrentModel {
    /// One row a token, `[V, E]`.
    pub embedding: Embedding,
    /// The lowest first.
    pub layers: Vec<RecurrentLayer>,
    /// W and b.
    pub output: Head,
    /// Probability of dropout between layers.
    dropout: f64,
    /// Probability of dropout before the head.
    output_dropout: f64,
}

impl RecurrentModel {
    /// The model with first weights.
    pub(crate) fn init(sizes: RecurrentSizes, vocabulary: usize, initializer: &mut Initializer<'_>) -> Self {
        let embedding_deviation = if sizes.tied { 1.0 / (sizes.embedding as f64).sqrt() } else { 1.0 };
        let bound = 1.0 / (sizes.hidden as f64).sqrt();
        let embedding = Embedding::init(vocabulary, sizes.embedding, embedding_deviation, initializer);
        let layer = |index| RecurrentLayer::init(sizes.cell, sizes.input_of(index), sizes.hidden, initializer);
        Self {
            embedding,
            layers: (0..sizes.layers).map(layer).collect(),
            output: Head {
                weight: (!sizes.tied)
                    .then(|| Weight::Parameter(initializer.uniform([sizes.hidden, vocabulary], bound))),
                bias: Some(initializer.uniform([vocabulary], bound)),
            },
            dropout: sizes.dropout,
            output_dropout: sizes.output_dropout,
        }
    }

    /// Logits for the token after each token of a window, and the state after the window.
    ///
    /// # Shapes
    /// - `tokens`: `[B, T]`, of which row r has `lengths[r]` tokens and then padding, whose logits mean nothing
    /// - output: `[B, T, V]`
    ///
    /// # Panics
    /// When the lengths do not fit the window, or the state is another model's or for another number of rows.
    pub fn forward(
        &self,
        tokens: Tensor<2, Int>,
        lengths: &[usize],
        state: Option<RecurrentState>,
    ) -> (Tensor<3>, RecurrentState) {
        let (hidden, state) = self.hidden(tokens, lengths, state, &mut Draws::none());
        (self.after_layers(hidden), state)
    }

    /// Logits `[B, V]` for the token after the last token of each row, and the state after the window.
    ///
    /// # Panics
    /// As [`forward`](Self::forward), and when a row has no token.
    pub fn read(
        &self,
        tokens: Tensor<2, Int>,
        lengths: &[usize],
        state: RecurrentState,
    ) -> (Tensor<2>, RecurrentState) {
        rows::check_not_empty(lengths);
        let (hidden, state) = self.hidden(tokens, lengths, Some(state), &mut Draws::none());
        let [steps, rows, width] = hidden.dims();
        let last = lengths.iter().enumerate().map(|(row, length)| (length - 1) * rows + row);
        let last = rows::indices(last, &hidden.device());
        (self.output.forward(hidden.reshape([steps * rows, width]).select(0, last), &self.embedding), state)
    }

    /// Loss of the token after each token of a window, `[B, T]`, nats, and the state after the window. Where a document
    /// starts, the state of its row is first made that of [`initial_state`](Self::initial_state).
    ///
    /// # Panics
    /// As [`forward`](Self::forward), and when a target isn't a token id.
    pub fn losses(
        &self,
        tokens: Tensor<2, Int>,
        targets: Tensor<2, Int>,
        state: Option<RecurrentState>,
        starts: &DocumentStarts,
        draws: &mut Draws,
    ) -> (Tensor<2>, RecurrentState) {
        let [rows, steps] = tokens.dims();
        assert_shape!(targets, [rows, steps]);
        let state = state.unwrap_or_else(|| self.initial_state(rows));
        let (hidden, state) = self.hidden_of_documents(tokens, state, starts, draws);
        // Time-major, as the hidden states are: so only the targets and the losses are turned, which are small.
        let targets = targets.swap_dims(0, 1).reshape([steps * rows]);
        let hidden = hidden.reshape([steps * rows, self.hidden_size()]);
        let losses = self.losses_of(hidden, targets);
        (losses.reshape([steps, rows]).swap_dims(0, 1), state)
    }

    /// The losses of targets `[N]` after what the head reads, `[N, H]`.
    pub(crate) fn losses_of(&self, hidden: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
        self.output.losses(hidden, &self.embedding, targets)
    }

    /// What the head reads after each token of a window, `[B, T, H]`, and the state after the window; as for
    /// [`losses`](Self::losses).
    pub(crate) fn features(
        &self,
        tokens: Tensor<2, Int>,
        state: Option<RecurrentState>,
        starts: &DocumentStarts,
        draws: &mut Draws,
    ) -> (Tensor<3>, RecurrentState) {
        let [rows, _] = tokens.dims();
        let state = state.unwrap_or_else(|| self.initial_state(rows));
        let (hidden, state) = self.hidden_of_documents(tokens, state, starts, draws);
        (hidden.swap_dims(0, 1), state)
    }

    /// Logits `[N, V]` of what the head reads, `[N, H]`.
    pub(crate) fn logits_of(&self, features: Tensor<2>) -> Tensor<2> {
        self.output.forward(features, &self.embedding)
    }

    /// What the head reads, `[T, B, H]`, zeros for padding, and the state after the window.
    ///
    /// Padding is never read: the window is cut where rows end, and those that have ended are left out of what follows.
    fn hidden(
        &self,
        tokens: Tensor<2, Int>,
        lengths: &[usize],
        state: Option<RecurrentState>,
        draws: &mut Draws,
    ) -> (Tensor<3>, RecurrentState) {
        let [rows, steps] = tokens.dims();
        rows::check_lengths(lengths, [rows, steps]);
        let mut state = state.unwrap_or_else(|| self.initial_state(rows));
        if lengths.iter().all(|&length| length == steps) {
            return self.hidden_of_whole(tokens, state, draws);
        }
        let ends: BTreeSet<usize> = lengths.iter().copied().filter(|&length| length > 0).collect();
        let (mut start, mut parts, device) = (0, Vec::new(), tokens.device());
        for end in ends {
            let reading: Vec<usize> = (0..rows).filter(|&row| lengths[row] >= end).collect();
            let part = tokens.clone().narrow(1, start, end - start);
            let part = part.select(0, rows::indices(reading.iter().copied(), &device));
            let (part, after) = self.hidden_of_whole(part, state.take_rows(&reading), draws);
            state = state.put_rows(&reading, after);
            let nothing = Tensor::zeros([end - start, 1, self.hidden_size()], &part.device());
            let places = (0..rows).map(|row| reading.binary_search(&row).unwrap_or(reading.len()));
            parts.push(Tensor::cat(vec![part, nothing], 1).select(1, rows::indices(places, &device)));
            start = end;
        }
        if start < steps {
            parts.push(Tensor::zeros([steps - start, rows, self.hidden_size()], &device));
        }
        (Tensor::cat(parts, 0), state)
    }

    /// The same of a window without padding, cut where a document starts in any row.
    fn hidden_of_documents(
        &self,
        tokens: Tensor<2, Int>,
        mut state: RecurrentState,
        starts: &DocumentStarts,
        draws: &mut Draws,
    ) -> (Tensor<3>, RecurrentState) {
        let [_, steps] = tokens.dims();
        let (mut from, mut parts) = (0, Vec::new());
        for (column, rows) in starts.columns() {
            if column > from {
                let (part, after) = self.hidden_of_whole(tokens.clone().narrow(1, from, column - from), state, draws);
                (from, state) = (column, after);
                parts.push(part);
            }
            state = state.put_rows(rows, self.initial_state(rows.len()));
        }
        let (last, state) = self.hidden_of_whole(tokens.narrow(1, from, steps - from), state, draws);
        if parts.is_empty() {
            return (last, state);
        }
        parts.push(last);
        (Tensor::cat(parts, 0), state)
    }

    /// The same without documents.
    fn hidden_of_whole(
        &self,
        tokens: Tensor<2, Int>,
        mut state: RecurrentState,
        draws: &mut Draws,
    ) -> (Tensor<3>, RecurrentState) {
        let [rows, steps] = tokens.dims();
        assert_eq!(state.layers.len(), self.layers.len(), "a state has one entry for each layer of its model");
        let tokens = tokens.swap_dims(0, 1);
        let mut below: Option<Tensor<3>> = None;
        let mut after = Vec::with_capacity(self.layers.len());
        for (layer, before) in self.layers.iter().zip(std::mem::take(&mut state.layers)) {
            let projected = match below {
                None => self.project_tokens(layer, tokens.clone(), draws),
                Some(below) => {
                    let below = dropout(below, self.dropout, draws.take());
                    layer.project_rows(below, draws)
                }
            };
            let (outputs, state) = layer.forward(projected, before);
            below = Some(outputs);
            after.push(state);
        }
        let Some(hidden) = below else { panic!("a recurrent model has a layer at least") };
        let hidden = dropout(hidden, self.output_dropout, draws.take());
        (hidden, state.advanced(after, &vec![steps; rows]))
    }

    /// What the lowest layer makes of tokens `[T, B]` without its state, `[T, B, F]`.
    ///
    /// A token's row is the same wherever it stands. So where a window has more tokens than the vocabulary, the whole
    /// table is projected once and its rows are looked up after that; the gradient likewise is added up for each token
    /// of the vocabulary before it goes through the weight.
    fn project_tokens(&self, layer: &RecurrentLayer, tokens: Tensor<2, Int>, draws: &mut Draws) -> Tensor<3> {
        match &self.embedding.weight {
            Weight::Parameter(table)
                if tokens.shape().num_elements() > self.vocabulary_size() && layer.is_a_function_of_tokens() =>
            {
                embedding(layer.project(table.val(), draws), tokens)
            }
            _ => layer.project_rows(self.embedding.forward(tokens), draws),
        }
    }

    /// What the first layer reads of whole windows `[B, T]`, `[T, B, in]`.
    pub(crate) fn before_layers(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        self.embedding.forward(tokens.swap_dims(0, 1))
    }

    /// What the layer `index` makes of that, from its state before the first token on: `[T, B, H]`.
    pub(crate) fn through_layer(&self, index: usize, below: Tensor<3>) -> Tensor<3> {
        let ([_, rows, _], layer) = (below.dims(), &self.layers[index]);
        layer.forward(layer.project_rows(below, &mut Draws::none()), layer.initial_state(rows)).0
    }

    /// The logits `[B, T, V]` of what the last layer makes.
    pub(crate) fn after_layers(&self, hidden: Tensor<3>) -> Tensor<3> {
        let [steps, rows, width] = hidden.dims();
        let logits = self.output.forward(hidden.reshape([steps * rows, width]), &self.embedding);
        logits.reshape([steps, rows, self.vocabulary_size()]).swap_dims(0, 1)
    }

    /// The state before the first token: zeros.
    pub fn initial_state(&self, rows: usize) -> RecurrentState {
        RecurrentState::new(self.layers.iter().map(|layer| layer.initial_state(rows)).collect())
    }

    /// The matrices that inputs are multiplied with, by the paths of their parameters.
    pub(crate) fn matrices(&mut self) -> Vec<Matrix<'_>> {
        let table = Matrix::table("embedding.weight", &mut self.embedding.weight);
        let layers = self.layers.iter_mut().enumerate().flat_map(|(index, layer)| {
            let hidden = Matrix::projection(format!("layers.{index}.hidden_weight"), &mut layer.hidden_weight);
            let input = product(index, &mut layer.input_weight, &mut layer.input_narrow, &mut layer.input_adapter);
            input.matrices().into_iter().chain([hidden])
        });
        let head = self.output.weight.as_mut().map(|weight| Matrix::projection("output.weight", weight));
        [table].into_iter().chain(layers).chain(head).collect()
    }

    /// The products of the layers that are not with their own states.
    pub(crate) fn products(&mut self) -> Vec<Product<'_>> {
        let layers = self.layers.iter_mut().enumerate();
        layers
            .map(|(index, layer)| {
                product(index, &mut layer.input_weight, &mut layer.input_narrow, &mut layer.input_adapter)
            })
            .collect()
    }

    /// As [`LanguageModel::bytes_of_matrices`](crate::LanguageModel::bytes_of_matrices).
    pub(crate) fn bytes_of_matrices(&self) -> usize {
        let of_layer = |layer: &RecurrentLayer| {
            let narrow = layer.input_narrow.as_ref().map_or(0, Weight::bytes);
            let adapter = layer.input_adapter.as_ref().map_or(0, Adapter::bytes);
            layer.input_weight.bytes() + narrow + adapter + layer.hidden_weight.bytes()
        };
        let head = self.output.weight.as_ref().unwrap_or(&self.embedding.weight);
        self.layers.iter().map(of_layer).sum::<usize>() + head.bytes()
    }

    /// Number of token ids, V.
    pub fn vocabulary_size(&self) -> usize {
        self.embedding.rows()
    }

    fn hidden_size(&self) -> usize {
        self.layers.last().map_or(0, RecurrentLayer::hidden_size)
    }
}

fn product<'a>(
    layer: usize,
    weight: &'a mut Weight,
    narrow: &'a mut Option<Weight>,
    adapter: &'a mut Option<Adapter>,
) -> Product<'a> {
    let name = |part: &str| format!("layers.{layer}.input_{part}");
    Product { name: name("weight"), narrow_name: name("narrow"), weight, narrow, adapter }
}
