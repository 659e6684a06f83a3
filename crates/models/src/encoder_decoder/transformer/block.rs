//! One block of the encoder or of the decoder.

use burn::module::Module;
use burn::tensor::Tensor;
use kiln_kernels::{Draws, dropout};

use super::attention::{CrossAttention, SelfAttention, Span, projection};
use super::config::{CodingNorms, EncoderDecoderConfig};
use crate::initializer::Initializer;
use crate::layers::Projection;
use crate::transformer::{FeedForward, Norm};

/// Self-attention, in the decoder cross-attention, and a feed-forward part, each added to the residual stream.
#[derive(Module, Debug)]
pub struct CodingBlock {
    /// Of the self-attention.
    pub attention_norm: Norm,
    /// Within the source, or within the target.
    pub attention: SelfAttention,
    /// Of the cross-attention.
    pub cross_attention_norm: Option<Norm>,
    /// From the target to the source; none in the encoder.
    pub cross_attention: Option<CrossAttention>,
    /// Of the feed-forward part.
    pub feed_forward_norm: Norm,
    /// Each token by itself.
    pub feed_forward: FeedForward,
    dropout: f64,
    #[module(skip)]
    norms: CodingNorms,
}

/// A source as a block of the decoder sees it: its keys and values, `[B, S, 2 C]`, and the lengths of its rows.
pub(super) type SourceView<'a> = Option<(Tensor<3>, &'a [usize])>;

impl CodingBlock {
    pub(super) fn init(config: &EncoderDecoderConfig, is_decoder: bool, initializer: &mut Initializer<'_>) -> Self {
        let norm = |initializer: &mut Initializer<'_>| norm(config, initializer);
        let (width, inner) = (config.width, config.feed_forward_width());
        let (columns, gates) = (config.feed_forward_columns(), config.feed_forward_columns() / inner);
        Self {
            attention_norm: norm(initializer),
            attention: SelfAttention::init(config, is_decoder, initializer),
            cross_attention_norm: is_decoder.then(|| norm(initializer)),
            cross_attention: is_decoder.then(|| CrossAttention::init(config, initializer)),
            feed_forward_norm: norm(initializer),
            feed_forward: FeedForward::new(
                projection([width, columns], gates, config.bias, initializer),
                projection([inner, width], 1, config.bias, initializer),
                config.activation,
            ),
            dropout: config.dropout,
            norms: config.norm_placement,
        }
    }

    /// `[N, C]` to `[N, C]`, and the cache of the self-attention after it.
    pub(super) fn forward(
        &self,
        stream: Tensor<2>,
        span: &Span<'_>,
        source: SourceView<'_>,
        cache: Option<Tensor<3>>,
        draws: &mut Draws,
    ) -> (Tensor<2>, Option<Tensor<3>>) {
        let read = self.before(&self.attention_norm, &stream);
        let (attended, cache) = self.attention.forward(read, span, cache, draws);
        let stream = self.after(&self.attention_norm, stream, &self.attention.output, attended, draws);
        let stream = match (&self.cross_attention, &self.cross_attention_norm, source) {
            (Some(attention), Some(norm), Some((keys_and_values, lengths))) => {
                let read = self.before(norm, &stream);
                let attended = attention.forward(read, span, keys_and_values, lengths, draws);
                self.after(norm, stream, &attention.output, attended, draws)
            }
            _ => stream,
        };
        let inner = self.feed_forward.inner(self.before(&self.feed_forward_norm, &stream), draws);
        (self.after(&self.feed_forward_norm, stream, &self.feed_forward.output, inner, draws), cache)
    }

    /// The weights of the cross-attention, `[heads, T, S]`, for one row, of what the block reads.
    pub(super) fn cross_weights(&self, stream: Tensor<2>, span: &Span<'_>, source: Tensor<3>) -> Option<Tensor<3>> {
        let draws = &mut Draws::none();
        let read = self.before(&self.attention_norm, &stream);
        let (attended, _) = self.attention.forward(read, span, None, draws);
        let stream = self.after(&self.attention_norm, stream, &self.attention.output, attended, draws);
        let (attention, norm) = self.cross_attention.as_ref().zip(self.cross_attention_norm.as_ref())?;
        Some(attention.weights(self.before(norm, &stream), source))
    }

    /// What a part reads.
    fn before(&self, norm: &Norm, stream: &Tensor<2>) -> Tensor<2> {
        match self.norms {
            CodingNorms::Before => norm.forward(stream.clone()),
            CodingNorms::After => stream.clone(),
        }
    }

    /// The stream with the last projection of a part added to it.
    fn after(
        &self,
        norm: &Norm,
        stream: Tensor<2>,
        last: &Projection,
        input: Tensor<2>,
        draws: &mut Draws,
    ) -> Tensor<2> {
        let stream = match draws.take().filter(|_| self.dropout > 0.0) {
            None => last.forward_onto(stream, input, draws),
            draw => stream + dropout(last.forward(input, draws), self.dropout, draw),
        };
        match self.norms {
            CodingNorms::Before => stream,
            CodingNorms::After => norm.forward(stream),
        }
    }
}

/// A norm of the residual stream.
pub(super) fn norm(config: &EncoderDecoderConfig, initializer: &mut Initializer<'_>) -> Norm {
    Norm::init(config.norm, config.width, config.has_norm_biases(), config.norm_epsilon, initializer)
}
