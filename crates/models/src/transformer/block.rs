//! One block: attention, then feed-forward, each behind a norm and added to the residual stream.

use burn::module::Module;
use burn::tensor::Tensor;
use kiln_kernels::{Draws, dropout};

use super::attention::Attention;
use super::cache::LayerCache;
use super::config::TransformerConfig;
use super::feed_forward::FeedForward;
use super::norm::Norm;
use super::window::Window;
use crate::initializer::Initializer;
use crate::layers::Projection;

/// x + attention(norm(x)), then x + feed-forward(norm(x)).
#[derive(Module, Debug)]
pub struct Block {
    /// Before the attention.
    pub attention_norm: Norm,
    /// The only part in which tokens see one another.
    pub attention: Attention,
    /// Before the feed-forward part.
    pub feed_forward_norm: Norm,
    /// Each token by itself.
    pub feed_forward: FeedForward,
    dropout: f64,
}

impl Block {
    pub(super) fn init(config: &TransformerConfig, initializer: &mut Initializer<'_>) -> Self {
        Self {
            attention_norm: config.norm(initializer),
            attention: Attention::init(config, initializer),
            feed_forward_norm: config.norm(initializer),
            feed_forward: FeedForward::init(config, initializer),
            dropout: config.dropout,
        }
    }

    /// `[N, C]` to `[N, C]`.
    pub(super) fn forward(
        &self,
        stream: Tensor<2>,
        window: &Window<'_>,
        cache: Option<LayerCache>,
        draws: &mut Draws,
    ) -> (Tensor<2>, Option<LayerCache>) {
        let normed = self.attention_norm.forward(stream.clone());
        let (attended, cache) = self.attention.forward(normed, window, cache, draws);
        let stream = self.added(stream, &self.attention.output, attended, draws);
        let inner = self.feed_forward.inner(self.feed_forward_norm.forward(stream.clone()));
        (self.added(stream, &self.feed_forward.output, inner, draws), cache)
    }

    /// The stream with the projection of a part's result added to it, in one pass where nothing is dropped.
    fn added(&self, stream: Tensor<2>, projection: &Projection, input: Tensor<2>, draws: &mut Draws) -> Tensor<2> {
        let draw = draws.take();
        match draw {
            Some(draw) if self.dropout > 0.0 => stream + dropout(projection.forward(input), self.dropout, Some(draw)),
            _ => projection.forward_onto(stream, input),
        }
    }
}
