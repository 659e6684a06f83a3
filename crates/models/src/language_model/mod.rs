//! One face for all models: tokens and a state in, logits and the next state out.

use burn::module::Module;
use burn::tensor::{Device, Gradients, Int, Tensor, assert_shape};
use kiln_kernels::{Draws, cross_entropy};

use crate::documents::DocumentStarts;
use crate::encoder_decoder::{EncoderDecoder, PairTokens};
use crate::recurrent::RecurrentModel;
use crate::state::State;
use crate::transformer::{Recomputation, Transformer};

/// A language model: for each token of a window the logits of the next token.
///
/// Made by [`ModelConfig::init`](crate::ModelConfig::init). Dropout acts only in [`losses`](Self::losses), where its
/// draws are given. Parameters are named as in the tables of initialisations, without a prefix for the kind of model.
///
/// ```
/// use burn::tensor::{Device, Int, Tensor};
/// use kiln_models::{GruConfig, ModelConfig};
///
/// let config = ModelConfig::Gru(GruConfig { layers: 1, hidden: 8, ..GruConfig::default() });
/// let model = config.init(5, 16, 1, &Device::flex());
/// // Two rows of three tokens, the second of which has two; then one more token in each.
/// let prompts = Tensor::<2, Int>::from_data([[0, 1, 2], [3, 4, 0]], &model.device());
/// let (logits, state) = model.read(prompts, &[3, 2], model.initial_state(2));
/// assert_eq!((logits.dims(), state.positions()), ([2, 5], &[3, 2][..]));
/// let (logits, state) = model.step(logits.argmax(1).squeeze_dim(1), state);
/// assert_eq!((logits.dims(), state.positions()), ([2, 5], &[4, 3][..]));
/// ```
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "a program holds a handful of models, each far larger on its device")]
pub enum LanguageModel {
    /// Elman networks, long short-term memory, gated recurrent units.
    Recurrent(RecurrentModel),
    /// Decoder transformer.
    Transformer(Transformer),
    /// What reads a source and writes a target. Without a source, as where a text alone is read, there is
    /// nothing to look back on.
    EncoderDecoder(EncoderDecoder),
}

impl LanguageModel {
    /// Logits for the token after each token of a window, and the state after the window.
    ///
    /// Without a state the window starts cold. A recurrent model always returns its state; a transformer returns one
    /// when it was given one, and then reads the window after the tokens in it.
    ///
    /// # Shapes
    /// - `tokens`: `[B, T]`
    /// - output: `[B, T, V]`
    ///
    /// # Panics
    /// When the state belongs to another kind of model or another number of rows, or a transformer is asked to read
    /// beyond its context.
    pub fn forward(&self, tokens: Tensor<2, Int>, state: Option<State>) -> (Tensor<3>, Option<State>) {
        let [rows, steps] = tokens.dims();
        self.forward_lengths(tokens, &vec![steps; rows], state)
    }

    /// As [`forward`](Self::forward), for rows of different length: row r has `lengths[r]` tokens, which follow those
    /// that the row has read, and then padding, any token ids. Padding changes neither the logits of tokens nor the
    /// state; its own logits mean nothing.
    ///
    /// # Panics
    /// As [`forward`](Self::forward), and when `lengths` does not have a number up to T for each row.
    pub fn forward_ragged(&self, tokens: Tensor<2, Int>, lengths: &[usize], state: State) -> (Tensor<3>, State) {
        let (logits, state) = self.forward_lengths(tokens, lengths, Some(state));
        let Some(state) = state else { unreachable!("a model that is given a state returns one") };
        (logits, state)
    }

    fn forward_lengths(
        &self,
        tokens: Tensor<2, Int>,
        lengths: &[usize],
        state: Option<State>,
    ) -> (Tensor<3>, Option<State>) {
        let (logits, state) = match self {
            Self::Recurrent(model) => {
                let (logits, state) = model.forward(tokens, lengths, state.map(State::into_recurrent));
                (logits, Some(State::Recurrent(state)))
            }
            Self::Transformer(model) => {
                let (logits, cache) = model.forward(tokens, lengths, state.map(State::into_key_value_cache));
                (logits, cache.map(State::Transformer))
            }
            Self::EncoderDecoder(model) => {
                let before = state.map_or_else(|| model.without_source(tokens.dims()[0]), State::into_decoder);
                let (logits, state) = model.forward(tokens, lengths, before);
                (logits, Some(State::EncoderDecoder(state)))
            }
        };
        assert_shape!(logits, [_, _, self.vocabulary_size()]);
        (logits, state)
    }

    /// Logits for the token after the last token of each row, and the state: as
    /// [`forward_ragged`](Self::forward_ragged), without the cost of the other logits.
    ///
    /// # Shapes
    /// - `tokens`: `[B, T]`
    /// - output: `[B, V]`
    ///
    /// # Panics
    /// As [`forward_ragged`](Self::forward_ragged), and when a row has no token.
    pub fn read(&self, tokens: Tensor<2, Int>, lengths: &[usize], state: State) -> (Tensor<2>, State) {
        match self {
            Self::Recurrent(model) => {
                let (logits, state) = model.read(tokens, lengths, state.into_recurrent());
                (logits, State::Recurrent(state))
            }
            Self::Transformer(model) => {
                let (logits, cache) = model.read(tokens, lengths, state.into_key_value_cache());
                (logits, State::Transformer(cache))
            }
            Self::EncoderDecoder(model) => {
                let (logits, state) = model.read(tokens, lengths, state.into_decoder());
                (logits, State::EncoderDecoder(state))
            }
        }
    }

    /// Loss of the token after each token of a window, -ln softmax(logits)\[target\] in nats, and the state after the
    /// window. A transformer starts each window cold.
    ///
    /// `draws` decides what dropout drops; [`Draws::none`] gives the losses of the model as it is used.
    ///
    /// # Shapes
    /// - `tokens`, `targets` and output: `[B, T]`
    ///
    /// # Panics
    /// As [`forward`](Self::forward), and on a CPU when a target isn't a token id.
    pub fn losses(
        &self,
        tokens: Tensor<2, Int>,
        targets: Tensor<2, Int>,
        state: Option<State>,
        draws: &mut Draws,
    ) -> (Tensor<2>, Option<State>) {
        self.losses_of_documents(tokens, targets, state, &DocumentStarts::default(), draws)
    }

    /// The same, with a recurrent state that begins anew where a document starts. It takes a pass through the layers
    /// for each column before which one does. A transformer sees the whole window all the same.
    ///
    /// # Panics
    /// As [`losses`](Self::losses), and when a start is outside of the window.
    pub fn losses_of_documents(
        &self,
        tokens: Tensor<2, Int>,
        targets: Tensor<2, Int>,
        state: Option<State>,
        starts: &DocumentStarts,
        draws: &mut Draws,
    ) -> (Tensor<2>, Option<State>) {
        match self {
            Self::Recurrent(model) => {
                let (losses, state) = model.losses(tokens, targets, state.map(State::into_recurrent), starts, draws);
                (losses, Some(State::Recurrent(state)))
            }
            Self::Transformer(model) => (model.losses(tokens, targets, draws), None),
            Self::EncoderDecoder(model) => {
                let [rows, steps] = tokens.dims();
                let features = model.features(tokens, draws);
                let [_, _, width] = features.dims();
                let logits = model.logits(features.reshape([rows * steps, width]));
                let losses = cross_entropy(logits, targets.reshape([rows * steps]));
                (losses.reshape([rows, steps]), None)
            }
        }
    }

    /// The state before the first token of a target, with its source read: `sources` `[B, S]`, of which row r has
    /// `lengths[r]` tokens and then padding. `None` for a model that has no encoder.
    ///
    /// # Panics
    /// When the lengths do not fit the sources, a source has no token, or one is longer than the context.
    pub fn encode(&self, sources: Tensor<2, Int>, lengths: &[usize]) -> Option<State> {
        match self {
            Self::EncoderDecoder(model) => Some(State::EncoderDecoder(model.encode(sources, lengths))),
            Self::Recurrent(_) | Self::Transformer(_) => None,
        }
    }

    /// Loss of each token of the targets of pairs, `[B, T]`, nats, with label smoothing: see
    /// [`EncoderDecoder::losses`]. What stands for padding among the targets has a loss too. `None` for a model that
    /// has no encoder.
    ///
    /// # Panics
    /// As [`EncoderDecoder::losses`].
    pub fn losses_of_pairs(&self, pairs: PairTokens, smoothing: f64, draws: &mut Draws) -> Option<Tensor<2>> {
        match self {
            Self::EncoderDecoder(model) => Some(model.losses(pairs, smoothing, draws)),
            Self::Recurrent(_) | Self::Transformer(_) => None,
        }
    }

    /// What the head reads after each token of a window, and the state after the window, as for
    /// [`losses_of_documents`](Self::losses_of_documents): what [`logits_of`](Self::logits_of) makes logits of, for as
    /// many tokens at a time as there should be.
    ///
    /// # Shapes
    /// - `tokens`: `[B, T]`
    /// - output: `[B, T, C]`
    ///
    /// # Panics
    /// As [`losses_of_documents`](Self::losses_of_documents).
    pub fn features(
        &self,
        tokens: Tensor<2, Int>,
        state: Option<State>,
        starts: &DocumentStarts,
        draws: &mut Draws,
    ) -> (Tensor<3>, Option<State>) {
        match self {
            Self::Recurrent(model) => {
                let (features, state) = model.features(tokens, state.map(State::into_recurrent), starts, draws);
                (features, Some(State::Recurrent(state)))
            }
            Self::Transformer(model) => (model.features(tokens, draws), None),
            Self::EncoderDecoder(model) => (model.features(tokens, draws), None),
        }
    }

    /// As [`features`](Self::features) of windows that start cold, without a graph: with what
    /// [`backward`](Self::backward) needs to compute the layers once more. A recurrent model has no such pass: `None`.
    ///
    /// This model is with autodiff; the features, which are to be given to it by `Tensor::from_inner`, are not.
    ///
    /// # Shapes
    /// - `tokens`: `[B, T]`
    /// - output: `[B, T, C]`
    pub fn features_to_recompute(&self, tokens: Tensor<2, Int>, draws: Draws) -> Option<(Tensor<3>, Recomputation)> {
        match self {
            Self::Recurrent(_) | Self::EncoderDecoder(_) => None,
            Self::Transformer(model) => Some(model.features_to_recompute(tokens, draws)),
        }
    }

    /// Gradients of the sum of the features times `gradient`, `[B T, C]`, which is without autodiff: those of one layer
    /// after the other, from the highest down to the lowest that is trained, each of which `take` is given.
    ///
    /// # Panics
    /// If `kept` is another model's.
    pub fn backward(&self, kept: Recomputation, gradient: Tensor<2>, take: impl FnMut(Gradients)) {
        match self {
            Self::Recurrent(_) | Self::EncoderDecoder(_) => panic!("it has nothing to compute again"),
            Self::Transformer(model) => model.backward(kept, gradient, take),
        }
    }

    /// Losses of targets `[N]` after what the head reads, `[N, C]`: -ln softmax(logits)\[target\] in nats.
    pub fn losses_of(&self, features: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
        match self {
            Self::Recurrent(model) => model.losses_of(features, targets),
            Self::Transformer(model) => model.losses_of(features, targets),
            Self::EncoderDecoder(model) => model.losses_of(features, targets),
        }
    }

    /// Logits of what the head reads.
    ///
    /// # Shapes
    /// - `features`: `[N, C]`
    /// - output: `[N, V]`
    pub fn logits_of(&self, features: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Recurrent(model) => model.logits_of(features),
            Self::Transformer(model) => model.logits(features),
            Self::EncoderDecoder(model) => model.logits(features),
        }
    }

    /// Logits for the token after one token in each row, and the state after it.
    ///
    /// # Shapes
    /// - `tokens`: `[B]`
    /// - output: `[B, V]`
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    pub fn step(&self, tokens: Tensor<1, Int>, state: State) -> (Tensor<2>, State) {
        let [rows] = tokens.dims();
        self.read(tokens.unsqueeze_dim(1), &vec![1; rows], state)
    }

    /// What each head of each block gives to each token of whole windows that are read cold: `[B, heads, T, T]` for a
    /// block, whose rows are queries that give 1 in all, by operations that hold all of them at once. Nothing for a
    /// model without attention.
    ///
    /// # Shapes
    /// - `tokens`: `[B, T]`
    ///
    /// # Panics
    /// When the window is longer than the context.
    pub fn attention_weights(&self, tokens: Tensor<2, Int>) -> Option<Vec<Tensor<4>>> {
        match self {
            Self::Recurrent(_) | Self::EncoderDecoder(_) => None,
            Self::Transformer(model) => Some(model.attention_weights(tokens)),
        }
    }

    /// The state before the first token, for `rows` rows.
    pub fn initial_state(&self, rows: usize) -> State {
        match self {
            Self::Recurrent(model) => State::Recurrent(model.initial_state(rows)),
            Self::Transformer(model) => State::Transformer(model.cache(rows)),
            Self::EncoderDecoder(model) => State::EncoderDecoder(model.without_source(rows)),
        }
    }

    /// The model with states that keep 8 bits of each number of the keys and values that it has read, and a scale for
    /// each 32 neighbours, on the CPU and without gradients. A recurrent model has none and stays as it is.
    ///
    /// # Errors
    /// The width of a head, which isn't a multiple of 4.
    pub fn with_packed_cache(self) -> Result<Self, usize> {
        Ok(match self {
            Self::Recurrent(model) => Self::Recurrent(model),
            Self::Transformer(model) => Self::Transformer(model.with_packed_cache()?),
            Self::EncoderDecoder(model) => Self::EncoderDecoder(model),
        })
    }

    /// Number of token ids, V.
    pub fn vocabulary_size(&self) -> usize {
        match self {
            Self::Recurrent(model) => model.vocabulary_size(),
            Self::Transformer(model) => model.vocabulary_size(),
            Self::EncoderDecoder(model) => model.vocabulary_size(),
        }
    }

    /// The longest text that the model can look back on, in tokens; `None` when there is no limit.
    pub fn longest_window(&self) -> Option<usize> {
        match self {
            Self::Recurrent(_) => None,
            Self::Transformer(model) => Some(model.context()),
            Self::EncoderDecoder(model) => Some(model.context()),
        }
    }

    /// As [`ModelConfig::carries_state_between_windows`](crate::ModelConfig::carries_state_between_windows).
    pub fn carries_state_between_windows(&self) -> bool {
        match self {
            Self::Recurrent(_) => true,
            Self::Transformer(_) | Self::EncoderDecoder(_) => false,
        }
    }

    /// Bytes of the matrices that a token is multiplied with: what reading one token reads at least. A table whose rows
    /// are looked up counts where it is the head too.
    pub fn bytes_of_matrices(&self) -> usize {
        match self {
            Self::Recurrent(model) => model.bytes_of_matrices(),
            Self::Transformer(model) => model.bytes_of_matrices(),
            Self::EncoderDecoder(model) => 4 * model.num_params(),
        }
    }

    /// Where the weights are; an autodiff device while training.
    pub fn device(&self) -> Device {
        // Of a parameter that is never packed.
        match self {
            Self::Recurrent(model) => match model.layers.first() {
                Some(layer) => layer.bias.val().device(),
                None => model.embedding.weight.device(),
            },
            Self::Transformer(model) => model.final_norm.weight.val().device(),
            Self::EncoderDecoder(model) => model.device(),
        }
    }
}

#[cfg(test)]
mod tests;
