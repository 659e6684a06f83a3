//! Embeddings, encoder, attention, decoder, head.

use burn::module::Module;
use burn::tensor::{Bool, Int, Tensor, TensorData, activation};
use kiln_kernels::{Draws, dropout, tanh};

use super::config::RecurrentEncoderDecoderConfig;
use super::state::RecurrentDecoderState;
use crate::initializer::Initializer;
use crate::layers::{Embedding, Head, Projection};
use crate::recurrent::{Cell, LayerState, RecurrentLayer};
use crate::rows;
use crate::weight::Weight;

/// A score that no weight is left of.
const HIDDEN: f64 = -1.0e30;

/// Reads a source and writes a target with recurrent layers; see the [module](super).
#[derive(Module, Debug)]
pub struct RecurrentEncoderDecoder {
    /// One row a token, `[V, E]`, of the target, and of the source where they share it.
    pub token_embedding: Embedding,
    /// The source's own.
    pub source_embedding: Option<Embedding>,
    /// The lowest first.
    pub encoder: Vec<RecurrentLayer>,
    /// Those that read from the end; none of an encoder of one direction.
    pub encoder_backward: Vec<RecurrentLayer>,
    /// `[M, H]`, from the encoder's last states to the first ones of the decoder, layer by layer.
    pub bridge: Vec<Projection>,
    /// The lowest first.
    pub decoder: Vec<RecurrentLayer>,
    /// From the decoder to the source.
    pub attention: Option<AdditiveAttention>,
    /// Its weight is `[H, V]`, or `[H + M, V]` with attention.
    pub output: Head,
    dropout: f64,
    context: usize,
    #[module(skip)]
    config: RecurrentEncoderDecoderConfig,
}

/// v . tanh(s W_s + h W_h + b) of a state s of the decoder and what the encoder says of each token, h.
#[derive(Module, Debug)]
pub struct AdditiveAttention {
    /// W_s, `[H, A]`.
    pub query: Projection,
    /// W_h and b, `[M, A]`.
    pub key: Projection,
    /// v, `[A, 1]`.
    pub score: Projection,
}

/// What the lowest layer of the decoder sees of its source.
struct Seen {
    /// `[B, S, M]`.
    memory: Tensor<3>,
    /// `[B, S, A]`.
    keys: Tensor<3>,
    /// Whether a token is padding, `[B, S]`.
    hidden: Tensor<2, Bool>,
}

fn projection([inputs, outputs]: [usize; 2], bias: bool, bound: f64, initializer: &mut Initializer<'_>) -> Projection {
    let weight = Weight::Parameter(initializer.uniform([inputs, outputs], bound));
    Projection { weight, narrow: None, bias: bias.then(|| initializer.uniform([outputs], bound)), adapter: None }
}

impl RecurrentEncoderDecoderConfig {
    /// The model with fresh weights, drawn at once.
    pub(crate) fn init(
        &self,
        vocabulary: usize,
        context: usize,
        initializer: &mut Initializer<'_>,
    ) -> RecurrentEncoderDecoder {
        let (cell, hidden, memory) = (Cell::from(self.cell), self.hidden, self.memory());
        let bound = 1.0 / (hidden as f64).sqrt();
        let token_embedding = Embedding::init(vocabulary, self.embedding(), 1.0, initializer);
        let source_embedding =
            (!self.shared_embeddings).then(|| Embedding::init(vocabulary, self.embedding(), 1.0, initializer));
        let mut layers = |count: usize, input: &dyn Fn(usize) -> usize| -> Vec<RecurrentLayer> {
            (0..count).map(|index| RecurrentLayer::init(cell, input(index), hidden, initializer)).collect()
        };
        let encoder = layers(self.layers, &|index| self.encoder_input(index));
        let backward = if self.bidirectional { self.layers } else { 0 };
        let encoder_backward = layers(backward, &|index| self.encoder_input(index));
        let bridge = (0..self.layers).map(|_| projection([memory, hidden], true, bound, initializer)).collect();
        let decoder = (0..self.layers)
            .map(|index| RecurrentLayer::init(cell, self.decoder_input(index), hidden, initializer))
            .collect();
        let width = self.attention_width();
        let attention = self.attention.then(|| AdditiveAttention {
            query: projection([hidden, width], false, bound, initializer),
            key: projection([memory, width], true, bound, initializer),
            score: projection([width, 1], false, bound, initializer),
        });
        RecurrentEncoderDecoder {
            token_embedding,
            source_embedding,
            encoder,
            encoder_backward,
            bridge,
            decoder,
            attention,
            output: Head {
                weight: Some(Weight::Parameter(initializer.uniform([self.features(), vocabulary], bound))),
                bias: Some(initializer.uniform([vocabulary], bound)),
            },
            dropout: self.dropout,
            context,
            config: self.clone(),
        }
    }
}

impl RecurrentEncoderDecoder {
    /// As that of an [`EncoderDecoder`](super::EncoderDecoder).
    pub(crate) fn encode(
        &self,
        sources: Tensor<2, Int>,
        lengths: &[usize],
        draws: &mut Draws,
    ) -> RecurrentDecoderState {
        let [rows, steps] = sources.dims();
        rows::check_lengths(lengths, [rows, steps]);
        rows::check_not_empty(lengths);
        let table = self.source_embedding.as_ref().unwrap_or(&self.token_embedding);
        let mut below = dropout(table.forward(sources.swap_dims(0, 1)), self.dropout, draws.take());
        let device = below.device();
        // Row r of step t is row t B + r; what a row says last is at its own length.
        let last = rows::indices(lengths.iter().enumerate().map(|(row, length)| (length - 1) * rows + row), &device);
        let turned = |place: usize| {
            let (step, row) = (place / rows, place % rows);
            let step = if step < lengths[row] { lengths[row] - 1 - step } else { step };
            step * rows + row
        };
        let turned = rows::indices((0..steps * rows).map(turned), &device);
        let turn = |sequence: Tensor<3>| {
            let [_, _, width] = sequence.dims();
            sequence.reshape([steps * rows, width]).select(0, turned.clone()).reshape([steps, rows, width])
        };
        let summary = |outputs: &Tensor<3>| {
            let [_, _, width] = outputs.dims();
            outputs.clone().reshape([steps * rows, width]).select(0, last.clone())
        };
        let mut layers = Vec::new();
        for (index, (layer, bridge)) in self.encoder.iter().zip(&self.bridge).enumerate() {
            if index > 0 {
                below = dropout(below, self.dropout, draws.take());
            }
            let mut outputs = vec![read(layer, below.clone(), draws)];
            let mut summaries = vec![summary(&outputs[0])];
            if let Some(layer) = self.encoder_backward.get(index) {
                let backward = read(layer, turn(below), draws);
                summaries.push(summary(&backward));
                outputs.push(turn(backward));
            }
            let hidden = tanh(bridge.forward(Tensor::cat(summaries, 1), draws));
            let cell = self.decoder[index].initial_state(rows).cell;
            layers.push(LayerState { hidden, cell });
            below = Tensor::cat(outputs, 2);
        }
        let memory = below.swap_dims(0, 1);
        let keys = self.keys(&memory, draws);
        let (source_lengths, positions) = (lengths.to_vec(), vec![0; rows]);
        RecurrentDecoderState { memory: [memory, keys], source_lengths, layers, positions }
    }

    /// What the attention compares, `[B, S, A]`; nothing without one.
    fn keys(&self, memory: &Tensor<3>, draws: &mut Draws) -> Tensor<3> {
        let [rows, steps, width] = memory.dims();
        match &self.attention {
            Some(attention) => {
                let keys = attention.key.forward(memory.clone().reshape([rows * steps, width]), draws);
                let [_, width] = keys.dims();
                keys.reshape([rows, steps, width])
            }
            None => Tensor::zeros([rows, steps, 1], &memory.device()),
        }
    }

    /// The state before the first token of a target that has no source.
    pub(crate) fn without_source(&self, rows: usize) -> RecurrentDecoderState {
        let device = self.token_embedding.weight.device();
        let memory = Tensor::zeros([rows, 1, self.config.memory()], &device);
        let keys = self.keys(&memory, &mut Draws::none());
        let layers = self.decoder.iter().map(|layer| layer.initial_state(rows)).collect();
        RecurrentDecoderState {
            memory: [memory, keys],
            source_lengths: vec![1; rows],
            layers,
            positions: vec![0; rows],
        }
    }

    /// Losses `[N]` of what the head reads, without more logits at once than there should be.
    pub(crate) fn losses_of(&self, features: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
        self.output.losses(features, &self.token_embedding, targets)
    }

    /// The same for rows of different length, which are read token by token: padding never is, and zeros stand for what
    /// the head reads there.
    pub(crate) fn continue_ragged(
        &self,
        tokens: Tensor<2, Int>,
        lengths: &[usize],
        mut state: RecurrentDecoderState,
    ) -> (Tensor<3>, RecurrentDecoderState) {
        let [rows, steps] = tokens.dims();
        let draws = &mut Draws::none();
        if lengths.iter().all(|length| *length == steps) {
            return self.continue_target(tokens, state, draws);
        }
        let (mut columns, device) = (Vec::new(), tokens.device());
        for step in 0..steps {
            let reading: Vec<usize> = (0..rows).filter(|row| step < lengths[*row]).collect();
            let mut column = Tensor::zeros([rows, 1, self.config.features()], &device);
            if !reading.is_empty() {
                let read = tokens.clone().narrow(1, step, 1);
                let read = read.select(0, rows::indices(reading.iter().copied(), &device));
                let (features, after) = self.continue_target(read, state.take_rows(&reading), draws);
                state = state.put_rows(&reading, after);
                column = rows::put(column, &reading, features);
            }
            columns.push(column);
        }
        (Tensor::cat(columns, 1), state)
    }

    /// What the head reads after more tokens of targets, `[B, T, features]`, and the state after them.
    pub(crate) fn continue_target(
        &self,
        tokens: Tensor<2, Int>,
        state: RecurrentDecoderState,
        draws: &mut Draws,
    ) -> (Tensor<3>, RecurrentDecoderState) {
        let [rows, steps] = tokens.dims();
        assert_eq!(
            state.positions.len(),
            rows,
            "the state is for {} rows, the window has {rows}",
            state.positions.len()
        );
        let embedded = dropout(self.token_embedding.forward(tokens.swap_dims(0, 1)), self.dropout, draws.take());
        let RecurrentDecoderState { memory: [memory, keys], source_lengths, layers, positions } = state;
        let mut before = layers.into_iter();
        let mut after = Vec::new();
        let (Some(lowest), Some(state)) = (self.decoder.first(), before.next()) else {
            panic!("a recurrent model has a layer at least")
        };
        let (mut below, contexts, state) = match &self.attention {
            Some(attention) => {
                let seen =
                    Seen { hidden: padding(&source_lengths, &memory), memory: memory.clone(), keys: keys.clone() };
                let (outputs, contexts, state) = attend(attention, lowest, embedded, &seen, state, draws);
                (outputs, Some(contexts), state)
            }
            None => {
                let (outputs, state) = lowest.forward(lowest.project_rows(embedded, draws), state);
                (outputs, None, state)
            }
        };
        after.push(state);
        for (layer, state) in self.decoder.iter().skip(1).zip(before) {
            let read = dropout(below, self.dropout, draws.take());
            let (outputs, state) = layer.forward(layer.project_rows(read, draws), state);
            below = outputs;
            after.push(state);
        }
        let features = match contexts {
            Some(contexts) => Tensor::cat(vec![below, contexts], 2),
            None => below,
        };
        let features = dropout(features, self.dropout, draws.take()).swap_dims(0, 1);
        let positions = positions.into_iter().map(|position| position + steps).collect();
        (features, RecurrentDecoderState { memory: [memory, keys], source_lengths, layers: after, positions })
    }

    /// How much each token that is written looks at each of the source, `[1, T, S]`, of one row.
    pub(crate) fn attention_weights(&self, source: Tensor<2, Int>, inputs: Tensor<2, Int>) -> Option<Tensor<3>> {
        let attention = self.attention.as_ref()?;
        let draws = &mut Draws::none();
        let ([_, keys], [_, steps]) = (source.dims(), inputs.dims());
        let mut state = self.encode(source, &[keys], draws);
        let mut weights = Vec::new();
        for step in 0..steps {
            let [memory, keys] = state.memory.clone();
            let hidden = padding(&state.source_lengths, &memory);
            let seen = Seen { memory, keys, hidden };
            weights.push(attention.weights(state.layers.first()?.hidden.clone(), &seen, draws));
            state = self.continue_target(inputs.clone().narrow(1, step, 1), state, draws).1;
        }
        Some(Tensor::cat(weights, 0).unsqueeze())
    }

    /// `[N, features]` to `[N, V]`.
    pub(crate) fn logits(&self, features: Tensor<2>) -> Tensor<2> {
        self.output.forward(features, &self.token_embedding)
    }

    /// The longest source, and the longest target, in tokens.
    pub(crate) fn context(&self) -> usize {
        self.context
    }
}

/// All outputs of a layer that starts with zeros, `[S, B, H]`.
fn read(layer: &RecurrentLayer, sequence: Tensor<3>, draws: &mut Draws) -> Tensor<3> {
    let [_, rows, _] = sequence.dims();
    layer.forward(layer.project_rows(sequence, draws), layer.initial_state(rows)).0
}

/// Whether each token of sources is padding, `[B, S]`.
fn padding(lengths: &[usize], memory: &Tensor<3>) -> Tensor<2, Bool> {
    let [rows, steps, _] = memory.dims();
    let hidden: Vec<bool> = lengths.iter().flat_map(|length| (0..steps).map(move |step| step >= *length)).collect();
    Tensor::from_data(TensorData::new(hidden, [rows, steps]), &memory.device())
}

/// The lowest layer of the decoder, step by step, since each looks at the source by the state before it: its outputs
/// `[T, B, H]`, what it saw `[T, B, M]`, and its state after them.
fn attend(
    attention: &AdditiveAttention,
    layer: &RecurrentLayer,
    embedded: Tensor<3>,
    seen: &Seen,
    mut state: LayerState,
    draws: &mut Draws,
) -> (Tensor<3>, Tensor<3>, LayerState) {
    let [steps, rows, _] = embedded.dims();
    let [_, sources, width] = seen.memory.dims();
    let (mut outputs, mut contexts) = (Vec::new(), Vec::new());
    for step in 0..steps {
        let weights = attention.weights(state.hidden.clone(), seen, draws);
        let context = weights.reshape([rows, 1, sources]).matmul(seen.memory.clone()).reshape([1, rows, width]);
        let input = Tensor::cat(vec![embedded.clone().narrow(0, step, 1), context.clone()], 2);
        let (output, after) = layer.forward(layer.project_rows(input, draws), state);
        state = after;
        outputs.push(output);
        contexts.push(context);
    }
    (Tensor::cat(outputs, 0), Tensor::cat(contexts, 0), state)
}

impl AdditiveAttention {
    /// Of states `[B, H]` at each token of the source, `[B, S]`.
    fn weights(&self, states: Tensor<2>, seen: &Seen, draws: &mut Draws) -> Tensor<2> {
        let [rows, sources, width] = seen.keys.dims();
        let query = self.query.forward(states, draws).reshape([rows, 1, width]);
        let inner = tanh(seen.keys.clone() + query).reshape([rows * sources, width]);
        let scores = self.score.forward(inner, draws).reshape([rows, sources]);
        activation::softmax(scores.mask_fill(seen.hidden.clone(), HIDDEN), 1)
    }
}
