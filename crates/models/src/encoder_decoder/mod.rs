//! Models that read a source and write a target: transformers of two halves, and recurrent ones.

mod recurrent;
mod transformer;

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, activation, assert_shape};
use kiln_kernels::Draws;

use crate::rows;

pub use recurrent::{
    AdditiveAttention, RecurrentDecoderState, RecurrentEncoderDecoder, RecurrentEncoderDecoderConfig, TranslatorCell,
};
pub use transformer::{
    CodingBlock, CodingNorms, CodingPosition, CrossAttention, EncoderDecoderConfig, SelfAttention,
    TransformerDecoderState, TransformerTranslator,
};

/// A source to the logits of a target.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "a program holds a handful of models, each far larger on its device")]
pub enum EncoderDecoder {
    /// Of two halves (Vaswani et al. 2017).
    Transformer(TransformerTranslator),
    /// Of recurrent layers, with or without attention (Bahdanau et al. 2015).
    Recurrent(RecurrentEncoderDecoder),
}

/// What a decoder remembers: its source, and the target so far.
#[derive(Debug, Clone)]
pub enum DecoderState {
    /// Keys and values of source and target.
    Transformer(TransformerDecoderState),
    /// What the encoder said, and the states of the layers.
    Recurrent(RecurrentDecoderState),
}

/// Tokens of pairs, padded with any ids.
#[derive(Debug, Clone)]
pub struct PairTokens {
    /// `[B, S]`.
    pub sources: Tensor<2, Int>,
    /// Tokens of each source, at least one.
    pub source_lengths: Vec<usize>,
    /// What the decoder reads, `[B, T]`.
    pub inputs: Tensor<2, Int>,
    /// What it is to write, `[B, T]`.
    pub targets: Tensor<2, Int>,
}

impl EncoderDecoder {
    /// The state before the first token of a target, with its source read: `sources` `[B, S]`, of which row r has
    /// `lengths[r]` tokens and then padding.
    ///
    /// # Panics
    /// When the lengths do not fit the sources, a source has no token, or one is longer than the context.
    pub fn encode(&self, sources: Tensor<2, Int>, lengths: &[usize]) -> DecoderState {
        let longest = lengths.iter().max().copied().unwrap_or(0);
        let context = self.context();
        assert!(longest <= context, "a source of {longest} tokens, but the model reads at most {context}");
        match self {
            Self::Transformer(model) => DecoderState::Transformer(model.encode(sources, lengths)),
            Self::Recurrent(model) => DecoderState::Recurrent(model.encode(sources, lengths, &mut Draws::none())),
        }
    }

    /// The state before the first token of a target that has no source.
    pub(crate) fn without_source(&self, rows: usize) -> DecoderState {
        match self {
            Self::Transformer(model) => DecoderState::Transformer(model.without_source(rows)),
            Self::Recurrent(model) => DecoderState::Recurrent(model.without_source(rows)),
        }
    }

    /// Logits `[B, T, V]` for the token after each token of a window, which follows those in the state.
    ///
    /// # Panics
    /// When the lengths do not fit the window, a row is longer than the context, with its tokens in the state, or the
    /// state is another model's or for another number of rows.
    pub fn forward(&self, tokens: Tensor<2, Int>, lengths: &[usize], state: DecoderState) -> (Tensor<3>, DecoderState) {
        let [rows, steps] = tokens.dims();
        let (features, state) = self.continue_target(tokens, lengths, state);
        let [_, width] = features.dims();
        (self.logits(features.reshape([rows * steps, width])).reshape([rows, steps, self.vocabulary_size()]), state)
    }

    /// Logits `[B, V]` for the token after the last token of each row, and the state after the window.
    ///
    /// # Panics
    /// As [`forward`](Self::forward), and when a row has no token.
    pub fn read(&self, tokens: Tensor<2, Int>, lengths: &[usize], state: DecoderState) -> (Tensor<2>, DecoderState) {
        rows::check_not_empty(lengths);
        let [_, steps] = tokens.dims();
        let (features, state) = self.continue_target(tokens, lengths, state);
        let last = lengths.iter().enumerate().map(|(row, length)| row * steps + length - 1);
        let last = rows::indices(last, &features.device());
        (self.logits(features.select(0, last)), state)
    }

    /// Loss of each target token, `[B, T]`, nats; with `smoothing` e that of the distribution which has 1 - e at the
    /// target and spreads e over all tokens (Szegedy et al. 2016, <https://arxiv.org/abs/1512.00567>).
    ///
    /// # Panics
    /// When the pairs do not fit together or into the context, or a target isn't a token id.
    pub fn losses(&self, pairs: PairTokens, smoothing: f64, draws: &mut Draws) -> Tensor<2> {
        let ([rows, steps], [others, _]) = (pairs.inputs.dims(), pairs.sources.dims());
        assert_shape!(pairs.targets, [rows, steps]);
        assert_eq!(rows, others, "{others} sources do not fit {rows} targets");
        let features = match self {
            Self::Transformer(model) => model.features_of_pairs(&pairs, draws),
            Self::Recurrent(model) => {
                let state = model.encode(pairs.sources, &pairs.source_lengths, draws);
                flat(model.continue_target(pairs.inputs, state, draws).0)
            }
        };
        let targets = pairs.targets.reshape([rows * steps]);
        if smoothing == 0.0 {
            return self.losses_of(features, targets).reshape([rows, steps]);
        }
        let logarithms = activation::log_softmax(self.logits(features), 1);
        let hard = logarithms.clone().gather(1, targets.unsqueeze_dim(1));
        let losses = hard.mul_scalar(1.0 - smoothing).add(logarithms.mean_dim(1).mul_scalar(smoothing)).neg();
        losses.reshape([rows, steps])
    }

    /// How much each token that is written looks at each of the source, in each head of each block of the decoder that
    /// looks there, `[heads, T, S]` a block: `source` `[1, S]`, and what the decoder reads, `[1, T]`. None of a
    /// recurrent decoder without attention.
    ///
    /// # Panics
    /// When one is longer than the context.
    pub fn cross_attention_weights(&self, source: Tensor<2, Int>, inputs: Tensor<2, Int>) -> Vec<Tensor<3>> {
        match self {
            Self::Transformer(model) => model.cross_attention_weights(source, inputs),
            Self::Recurrent(model) => model.attention_weights(source, inputs).into_iter().collect(),
        }
    }

    /// What the head reads after more tokens of targets, `[N, C]`, and the state after them.
    fn continue_target(
        &self,
        tokens: Tensor<2, Int>,
        lengths: &[usize],
        state: DecoderState,
    ) -> (Tensor<2>, DecoderState) {
        let dims = tokens.dims();
        rows::check_lengths(lengths, dims);
        let (rows, positions) = (state.positions().len(), state.positions());
        assert_eq!(rows, dims[0], "the state is for {rows} rows, the window has {}", dims[0]);
        let end = positions.iter().zip(lengths).map(|(start, length)| start + length).max().unwrap_or(0);
        assert!(end <= self.context(), "a target of {end} tokens, but the model writes at most {}", self.context());
        match (self, state) {
            (Self::Transformer(model), DecoderState::Transformer(state)) => {
                let (features, state) = model.continue_target(tokens, lengths, state);
                (features, DecoderState::Transformer(state))
            }
            (Self::Recurrent(model), DecoderState::Recurrent(state)) => {
                let (features, state) = model.continue_ragged(tokens, lengths, state);
                (flat(features), DecoderState::Recurrent(state))
            }
            _ => panic!("the state belongs to another model"),
        }
    }

    /// What the head reads after each token of targets without a source, `[B, T, C]`.
    pub(crate) fn features(&self, tokens: Tensor<2, Int>, draws: &mut Draws) -> Tensor<3> {
        match self {
            Self::Transformer(model) => model.features(tokens, draws),
            Self::Recurrent(model) => {
                let state = model.without_source(tokens.dims()[0]);
                model.continue_target(tokens, state, draws).0
            }
        }
    }

    /// Losses of targets `[N]` after what the head reads, `[N, C]`.
    pub(crate) fn losses_of(&self, features: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
        match self {
            Self::Transformer(model) => model.losses_of(features, targets),
            Self::Recurrent(model) => model.losses_of(features, targets),
        }
    }

    /// `[N, C]` to `[N, V]`.
    pub(crate) fn logits(&self, features: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Transformer(model) => model.logits(features),
            Self::Recurrent(model) => model.logits(features),
        }
    }

    /// Number of token ids, V.
    pub fn vocabulary_size(&self) -> usize {
        match self {
            Self::Transformer(model) => model.token_embedding.rows(),
            Self::Recurrent(model) => model.token_embedding.rows(),
        }
    }

    /// The longest source, and the longest target, in tokens.
    pub fn context(&self) -> usize {
        match self {
            Self::Transformer(model) => model.context(),
            Self::Recurrent(model) => model.context(),
        }
    }

    /// Where the weights are.
    pub(crate) fn device(&self) -> Device {
        match self {
            Self::Transformer(model) => model.token_embedding.weight.device(),
            Self::Recurrent(model) => model.token_embedding.weight.device(),
        }
    }
}

/// `[B, T, C]` to `[B T, C]`.
fn flat(features: Tensor<3>) -> Tensor<2> {
    let [rows, steps, width] = features.dims();
    features.reshape([rows * steps, width])
}

impl DecoderState {
    /// Tokens of the target that each row has read.
    pub fn positions(&self) -> &[usize] {
        match self {
            Self::Transformer(state) => state.positions(),
            Self::Recurrent(state) => state.positions(),
        }
    }

    /// The same numbers, cut from the graph that computed them.
    #[must_use]
    pub fn detach(self) -> Self {
        match self {
            Self::Transformer(state) => Self::Transformer(state.detach()),
            Self::Recurrent(state) => Self::Recurrent(state.detach()),
        }
    }

    /// As [`State::take_rows`](crate::State::take_rows).
    #[must_use]
    pub fn take_rows(&self, rows: &[usize]) -> Self {
        match self {
            Self::Transformer(state) => Self::Transformer(state.take_rows(rows)),
            Self::Recurrent(state) => Self::Recurrent(state.take_rows(rows)),
        }
    }

    /// As [`State::put_rows`](crate::State::put_rows).
    #[must_use]
    pub fn put_rows(self, places: &[usize], rows: Self) -> Self {
        match (self, rows) {
            (Self::Transformer(own), Self::Transformer(rows)) => Self::Transformer(own.put_rows(places, rows)),
            (Self::Recurrent(own), Self::Recurrent(rows)) => Self::Recurrent(own.put_rows(places, rows)),
            _ => panic!("the states belong to different models"),
        }
    }

    /// As [`State::joined`](crate::State::joined).
    #[must_use]
    pub fn joined(self, other: Self) -> Self {
        match (self, other) {
            (Self::Transformer(own), Self::Transformer(other)) => Self::Transformer(own.joined(other)),
            (Self::Recurrent(own), Self::Recurrent(other)) => Self::Recurrent(own.joined(other)),
            _ => panic!("the states belong to different models"),
        }
    }

    /// As [`State::reserved`](crate::State::reserved).
    #[must_use]
    pub fn reserved(self, positions: usize) -> Self {
        match self {
            Self::Transformer(state) => Self::Transformer(state.reserved(positions)),
            Self::Recurrent(_) => self,
        }
    }

    /// As [`State::shortened`](crate::State::shortened).
    #[must_use]
    pub fn shortened(self, tokens: usize) -> Option<Self> {
        match self {
            Self::Transformer(state) => Some(Self::Transformer(state.shortened(tokens))),
            Self::Recurrent(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
