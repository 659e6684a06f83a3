//! Attention of a sequence to itself, and to the source.

use burn::module::Module;
use burn::tensor::{Tensor, assert_shape};
use kiln_kernels::{AttentionHeads, AttentionScores, Draws, SeenKeys, causal_attention, cross_attention, rotate};

use super::config::EncoderDecoderConfig;
use crate::initializer::Initializer;
use crate::layers::Projection;
use crate::weight::Weight;

/// What all blocks of a half share about the tokens that they work on.
pub(super) struct Span<'a> {
    /// B.
    pub(super) rows: usize,
    /// Tokens of a row, with padding.
    pub(super) steps: usize,
    /// Position of the first token of each row, `[B]`.
    pub(super) starts: &'a [usize],
    /// Tokens of each row, `[B]`.
    pub(super) lengths: &'a [usize],
    /// For rotary positions: cosines and sines.
    pub(super) rotary: Option<[Tensor<2>; 2]>,
    /// For relative positions: what is added to the scores, `[1 or B, heads, steps, keys]`.
    pub(super) bias: Option<Tensor<4>>,
}

/// A projection `[in, out]` of `parts` matrices side by side, each drawn by itself.
pub(super) fn projection(
    [inputs, outputs]: [usize; 2],
    parts: usize,
    has_bias: bool,
    initializer: &mut Initializer<'_>,
) -> Projection {
    let bound = (6.0 / (inputs + outputs / parts) as f64).sqrt();
    let weight = Weight::Parameter(initializer.uniform([inputs, outputs], bound));
    Projection { weight, narrow: None, bias: has_bias.then(|| initializer.constant([outputs], 0.0)), adapter: None }
}

fn heads(config: &EncoderDecoderConfig) -> AttentionHeads {
    AttentionHeads { queries: config.heads, key_values: config.heads, width: config.head_width() }
}

fn scale(heads: AttentionHeads) -> f64 {
    (heads.width as f64).powf(-0.5)
}

/// Multi-head attention of a source to itself in both directions, or of a target to what stands before each token.
#[derive(Module, Debug)]
pub struct SelfAttention {
    /// `[C, 3 C]`: the columns of all queries, of all keys, of all values.
    pub query_key_value: Projection,
    /// `[C, C]`.
    pub output: Projection,
    dropout: f64,
    is_causal: bool,
    #[module(skip)]
    heads: AttentionHeads,
}

impl SelfAttention {
    pub(super) fn init(config: &EncoderDecoderConfig, is_causal: bool, initializer: &mut Initializer<'_>) -> Self {
        let width = config.width;
        Self {
            query_key_value: projection([width, 3 * width], 3, config.bias, initializer),
            output: projection([width, width], 1, config.bias, initializer),
            dropout: config.dropout,
            is_causal,
            heads: heads(config),
        }
    }

    /// `[N, C]` to `[N, C]`, all but the last projection; with a cache, `[B, capacity, 2 C]`, its tokens come before
    /// the span's, and it is returned with the span's added.
    pub(super) fn forward(
        &self,
        input: Tensor<2>,
        span: &Span<'_>,
        cache: Option<Tensor<3>>,
        draws: &mut Draws,
    ) -> (Tensor<2>, Option<Tensor<3>>) {
        let Span { rows, steps, starts, .. } = *span;
        assert_shape!(input, [rows * steps, _]);
        let (heads, width) = (self.heads, self.heads.queries * self.heads.width);
        let packed = self.query_key_value.forward(input, draws).reshape([rows, steps, 3 * width]);
        let packed = match span.rotary.clone() {
            Some(tables) => rotate(packed, heads, tables, starts),
            None => packed,
        };
        let draw = draws.take();
        let (query, own) = (packed.clone().narrow(2, 0, width), packed.clone().narrow(2, width, 2 * width));
        let (output, cache) = match cache {
            None if self.is_causal && span.bias.is_none() => {
                let scores = AttentionScores { scale: scale(heads), soft_cap: None, window: None };
                (causal_attention(packed, heads, scores, self.dropout, draw), None)
            }
            None => {
                // Where no query sees a later key, padding needs no length.
                let lengths = if self.is_causal { vec![steps; rows] } else { span.lengths.to_vec() };
                let seen = SeenKeys { lengths, starts: self.is_causal.then(|| starts.to_vec()) };
                (self.attend(query, own, span, &seen, draw), None)
            }
            Some(cache) => {
                let cache = written(cache, starts, own);
                let seen = SeenKeys {
                    lengths: starts.iter().map(|start| start + steps).collect(),
                    starts: Some(starts.to_vec()),
                };
                (self.attend(query, cache.clone(), span, &seen, None), Some(cache))
            }
        };
        (output.reshape([rows * steps, width]), cache)
    }

    fn attend(
        &self,
        query: Tensor<3>,
        keys_and_values: Tensor<3>,
        span: &Span<'_>,
        seen: &SeenKeys,
        draw: Option<kiln_kernels::Draw>,
    ) -> Tensor<3> {
        let dropout = draw.map(|draw| (self.dropout, draw));
        cross_attention(query, keys_and_values, span.bias.clone(), seen, self.heads, scale(self.heads), dropout)
    }
}

/// The cache with the keys and values of new tokens, `[B, T, 2 C]`, at the positions from `starts` on.
fn written(cache: Tensor<3>, starts: &[usize], new: Tensor<3>) -> Tensor<3> {
    let [rows, steps, width] = new.dims();
    let start = starts.first().copied().unwrap_or(0);
    if starts.iter().all(|other| *other == start) {
        return cache.slice_assign([0..rows, start..start + steps, 0..width], new);
    }
    starts.iter().enumerate().fold(cache, |cache, (row, &start)| {
        cache.slice_assign([row..row + 1, start..start + steps, 0..width], new.clone().narrow(0, row, 1))
    })
}

/// Multi-head attention of a target to its source.
#[derive(Module, Debug)]
pub struct CrossAttention {
    /// `[C, C]`, of the target.
    pub query: Projection,
    /// `[C, 2 C]`, of the source: the columns of all keys, of all values.
    pub key_value: Projection,
    /// `[C, C]`.
    pub output: Projection,
    dropout: f64,
    #[module(skip)]
    heads: AttentionHeads,
}

impl CrossAttention {
    pub(super) fn init(config: &EncoderDecoderConfig, initializer: &mut Initializer<'_>) -> Self {
        let width = config.width;
        Self {
            query: projection([width, width], 1, config.bias, initializer),
            key_value: projection([width, 2 * width], 2, config.bias, initializer),
            output: projection([width, width], 1, config.bias, initializer),
            dropout: config.dropout,
            heads: heads(config),
        }
    }

    /// Keys and values of a source `[B S, C]`, `[B, S, 2 C]`.
    pub(super) fn keys_and_values(&self, source: Tensor<2>, rows: usize, draws: &mut Draws) -> Tensor<3> {
        let packed = self.key_value.forward(source, draws);
        let [tokens, width] = packed.dims();
        packed.reshape([rows, tokens / rows, width])
    }

    /// `[N, C]` to `[N, C]`, all but the last projection.
    pub(super) fn forward(
        &self,
        input: Tensor<2>,
        span: &Span<'_>,
        source: Tensor<3>,
        lengths: &[usize],
        draws: &mut Draws,
    ) -> Tensor<2> {
        let width = self.heads.queries * self.heads.width;
        let query = self.query.forward(input, draws).reshape([span.rows, span.steps, width]);
        let seen = SeenKeys { lengths: lengths.to_vec(), starts: None };
        let dropout = draws.take().map(|draw| (self.dropout, draw));
        let output = cross_attention(query, source, None, &seen, self.heads, scale(self.heads), dropout);
        output.reshape([span.rows * span.steps, width])
    }

    /// The weights of each head for each token of one row, `[heads, T, S]`, for figures.
    pub(super) fn weights(&self, input: Tensor<2>, source: Tensor<3>) -> Tensor<3> {
        let AttentionHeads { queries: heads, width, .. } = self.heads;
        let ([tokens, _], [_, keys, _]) = (input.dims(), source.dims());
        let by_head = |tensor: Tensor<2>, tokens: usize| tensor.reshape([tokens, heads, width]).swap_dims(0, 1);
        let query = by_head(self.query.forward(input, &mut Draws::none()), tokens) * scale(self.heads);
        let key = by_head(source.narrow(2, 0, heads * width).reshape([keys, heads * width]), keys);
        burn::tensor::activation::softmax(query.matmul(key.transpose()), 2)
    }
}
