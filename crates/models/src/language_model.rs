//! One face for all models: tokens and a state in, logits and the next state out.

use burn::module::{
    Content, Devices, DisplaySettings, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper, ModuleVisitor,
};
use burn::tensor::{Device, Int, Tensor, assert_shape};
use kiln_kernels::Draws;

use crate::recurrent::{GruLayer, LstmLayer, RecurrentModel, RecurrentState, RnnLayer};
use crate::transformer::{KeyValueCache, Transformer};

/// A language model: for each token of a window the logits of the next token.
///
/// Made by [`ModelConfig::init`](crate::ModelConfig::init). Dropout acts only in [`losses`](Self::losses), where its draws
/// are given. Parameters are named as in the tables of initialisations, without a prefix for the kind of model.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "a program holds a handful of models, each far larger on its device")]
pub enum LanguageModel {
    /// Elman network.
    Rnn(RecurrentModel<RnnLayer>),
    /// Long short-term memory.
    Lstm(RecurrentModel<LstmLayer>),
    /// Gated recurrent units.
    Gru(RecurrentModel<GruLayer>),
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

/// The same expression for every kind of model.
macro_rules! each {
    ($value:expr, $model:ident => $result:expr) => {
        match $value {
            LanguageModel::Rnn($model) => $result,
            LanguageModel::Lstm($model) => $result,
            LanguageModel::Gru($model) => $result,
            LanguageModel::Transformer($model) => $result,
        }
    };
}

/// The same expression for every kind of model, wrapped in that kind again.
macro_rules! map_each {
    ($value:expr, $model:ident => $result:expr) => {
        match $value {
            LanguageModel::Rnn($model) => LanguageModel::Rnn($result),
            LanguageModel::Lstm($model) => LanguageModel::Lstm($result),
            LanguageModel::Gru($model) => LanguageModel::Gru($result),
            LanguageModel::Transformer($model) => LanguageModel::Transformer($result),
        }
    };
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
            Self::Rnn(model) => recurrent(model.forward(tokens, state.map(recurrent_state))),
            Self::Lstm(model) => recurrent(model.forward(tokens, state.map(recurrent_state))),
            Self::Gru(model) => recurrent(model.forward(tokens, state.map(recurrent_state))),
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
        let recurrent = |(losses, state): (Tensor<2>, RecurrentState)| (losses, Some(State::Recurrent(state)));
        match self {
            Self::Rnn(model) => recurrent(model.losses(tokens, targets, state.map(recurrent_state), draws)),
            Self::Lstm(model) => recurrent(model.losses(tokens, targets, state.map(recurrent_state), draws)),
            Self::Gru(model) => recurrent(model.losses(tokens, targets, state.map(recurrent_state), draws)),
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
            Self::Rnn(model) => State::Recurrent(model.initial_state(rows)),
            Self::Lstm(model) => State::Recurrent(model.initial_state(rows)),
            Self::Gru(model) => State::Recurrent(model.initial_state(rows)),
            Self::Transformer(model) => State::Transformer(model.cache(rows, capacity)),
        }
    }

    /// Number of token ids, V.
    pub fn vocabulary_size(&self) -> usize {
        each!(self, model => model.vocabulary_size())
    }

    /// The longest window that the model can read, in tokens; `None` when there is no limit.
    pub fn context(&self) -> Option<usize> {
        match self {
            Self::Transformer(model) => Some(model.context()),
            _ => None,
        }
    }

    /// Whether the state is one of fixed size that any number of tokens may pass through.
    pub fn is_recurrent(&self) -> bool {
        !matches!(self, Self::Transformer(_))
    }

    /// Where the weights are; an autodiff device while training.
    pub fn device(&self) -> Device {
        let weight = match self {
            Self::Rnn(model) => model.embedding.weight.val(),
            Self::Lstm(model) => model.embedding.weight.val(),
            Self::Gru(model) => model.embedding.weight.val(),
            Self::Transformer(model) => model.token_embedding.weight.val(),
        };
        weight.device()
    }
}

fn recurrent((logits, state): (Tensor<3>, RecurrentState)) -> (Tensor<3>, Option<State>) {
    (logits, Some(State::Recurrent(state)))
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

// By hand, because the derived implementation puts the variant's name in front of every parameter's path, and the names
// in a saved model should be those of its own parts.
impl Module for LanguageModel {
    fn collect_devices(&self, devices: Devices) -> Devices {
        each!(self, model => model.collect_devices(devices))
    }

    fn fork(self, device: &Device) -> Self {
        map_each!(self, model => model.fork(device))
    }

    fn to_device(self, device: &Device) -> Self {
        map_each!(self, model => model.to_device(device))
    }

    fn visit<Visitor: ModuleVisitor>(&self, visitor: &mut Visitor) {
        each!(self, model => model.visit(visitor));
    }

    fn map<Mapper: ModuleMapper>(self, mapper: &mut Mapper) -> Self {
        map_each!(self, model => model.map(mapper))
    }

    fn train(self) -> Self {
        map_each!(self, model => model.train())
    }

    fn valid(&self) -> Self {
        map_each!(self, model => model.valid())
    }

    fn materialize(self) -> Self {
        map_each!(self, model => model.materialize())
    }
}

impl ModuleDisplayDefault for LanguageModel {
    fn content(&self, content: Content) -> Option<Content> {
        each!(self, model => model.content(content))
    }

    fn num_params(&self) -> usize {
        Module::num_params(self)
    }
}

impl ModuleDisplay for LanguageModel {}

impl std::fmt::Display for LanguageModel {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&ModuleDisplay::format(self, DisplaySettings::default()))
    }
}

#[cfg(test)]
mod tests;
