//! One face for all models: tokens and a state in, logits and the next state out.

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, assert_shape};
use kiln_kernels::Draws;

use crate::recurrent::{RecurrentModel, RecurrentState};
use crate::transformer::{KeyValueCache, Transformer};

/// A language model: for each token of a window the logits of the next token.
///
/// Made by [`ModelConfig::init`](crate::ModelConfig::init). Dropout acts only in [`losses`](Self::losses), where its draws
/// are given. Parameters are named as in the tables of initialisations, without a prefix for the kind of model.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "a program holds a handful of models, each far larger on its device")]
pub enum LanguageModel {
    /// Elman networks, long short-term memory, gated recurrent units.
    Recurrent(RecurrentModel),
    /// Decoder transformer.
    Transformer(Transformer),
}

/// What a model remembers of the tokens that it has read.
#[derive(Debug, Clone)]
pub enum State {
    /// The hidden states of every layer.
    Recurrent(RecurrentState),
    /// The keys and values of every block.
    Transformer(KeyValueCache),
}

impl State {
    /// The same numbers, cut from the graph that computed them: the boundary of truncated back-propagation.
    #[must_use]
    pub fn detach(self) -> Self {
        match self {
            Self::Recurrent(state) => Self::Recurrent(state.detach()),
            Self::Transformer(cache) => Self::Transformer(cache.detach()),
        }
    }

    /// Rows that it remembers for, B.
    pub fn batch_size(&self) -> usize {
        match self {
            Self::Recurrent(state) => state.batch_size(),
            Self::Transformer(cache) => cache.batch_size(),
        }
    }

    /// How many more tokens fit: `None` without a limit, as in recurrent models.
    pub fn remaining(&self) -> Option<usize> {
        match self {
            Self::Recurrent(_) => None,
            Self::Transformer(cache) => Some(cache.capacity() - cache.length()),
        }
    }
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
    /// beyond its context or its state's capacity.
    pub fn forward(&self, tokens: Tensor<2, Int>, state: Option<State>) -> (Tensor<3>, Option<State>) {
        let (logits, state) = match self {
            Self::Recurrent(model) => {
                let (logits, state) = model.forward(tokens, state.map(recurrent_state));
                (logits, Some(State::Recurrent(state)))
            }
            Self::Transformer(model) => {
                let (logits, cache) = model.forward(tokens, state.map(key_value_cache));
                (logits, cache.map(State::Transformer))
            }
        };
        assert_shape!(logits, [_, _, self.vocabulary_size()]);
        (logits, state)
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
    /// As [`forward`](Self::forward), and on a CPU when a target is no token id.
    pub fn losses(
        &self,
        tokens: Tensor<2, Int>,
        targets: Tensor<2, Int>,
        state: Option<State>,
        draws: &mut Draws,
    ) -> (Tensor<2>, Option<State>) {
        match self {
            Self::Recurrent(model) => {
                let (losses, state) = model.losses(tokens, targets, state.map(recurrent_state), draws);
                (losses, Some(State::Recurrent(state)))
            }
            Self::Transformer(model) => (model.losses(tokens, targets, draws), None),
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
        let (logits, state) = self.forward(tokens.unsqueeze_dim(1), Some(state));
        let Some(state) = state else { unreachable!("a model that is given a state returns one") };
        (logits.squeeze_dim(1), state)
    }

    /// The state before the first token, for `rows` rows; `capacity` is how many tokens a transformer's may take in,
    /// and ignored by recurrent models.
    ///
    /// # Panics
    /// When a transformer's `capacity` is zero or beyond its context.
    pub fn initial_state(&self, rows: usize, capacity: usize) -> State {
        match self {
            Self::Recurrent(model) => State::Recurrent(model.initial_state(rows)),
            Self::Transformer(model) => State::Transformer(model.cache(rows, capacity)),
        }
    }

    /// Number of token ids, V.
    pub fn vocabulary_size(&self) -> usize {
        match self {
            Self::Recurrent(model) => model.vocabulary_size(),
            Self::Transformer(model) => model.vocabulary_size(),
        }
    }

    /// The longest text that the model can look back on, in tokens; `None` when there is no limit.
    pub fn longest_window(&self) -> Option<usize> {
        match self {
            Self::Recurrent(_) => None,
            Self::Transformer(model) => Some(model.context()),
        }
    }

    /// As [`ModelConfig::carries_state_between_windows`](crate::ModelConfig::carries_state_between_windows).
    pub fn carries_state_between_windows(&self) -> bool {
        match self {
            Self::Recurrent(_) => true,
            Self::Transformer(_) => false,
        }
    }

    /// Where the weights are; an autodiff device while training.
    pub fn device(&self) -> Device {
        let table = match self {
            Self::Recurrent(model) => &model.embedding,
            Self::Transformer(model) => &model.token_embedding,
        };
        table.weight.val().device()
    }
}

fn recurrent_state(state: State) -> RecurrentState {
    match state {
        State::Recurrent(state) => state,
        State::Transformer(_) => panic!("a recurrent model was given a transformer's key-value cache"),
    }
}

fn key_value_cache(state: State) -> KeyValueCache {
    match state {
        State::Transformer(cache) => cache,
        State::Recurrent(_) => panic!("a transformer was given the state of a recurrent model"),
    }
}

#[cfg(test)]
mod tests;
