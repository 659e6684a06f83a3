//! One block: attention and feed-forward, each with its norms and added to the residual stream.

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

/// x + attention(norm(x)), then x + feed-forward(norm(x)); with parallel parts both read the same x, and norms may
/// stand after the parts too, or there alone.
#[derive(Module, Debug)]
pub struct Block {
    /// Before the attention.
    pub attention_norm: Option<Norm>,
    /// The only part in which tokens see one another.
    pub attention: Attention,
    /// After the attention.
    pub attention_output_norm: Option<Norm>,
    /// Before the feed-forward part.
    pub feed_forward_norm: Option<Norm>,
    /// Each token by itself.
    pub feed_forward: FeedForward,
    /// After the feed-forward part.
    pub feed_forward_output_norm: Option<Norm>,
    dropout: f64,
    are_parallel: bool,
}

impl Block {
    /// The block `layer`, counted from 0.
    pub(super) fn init(config: &TransformerConfig, layer: usize, initializer: &mut Initializer<'_>) -> Self {
        let [before, after] = config.norm_placement.places();
        Self {
            attention_norm: before.then(|| config.norm(initializer)),
            attention: Attention::init(config, layer, initializer),
            attention_output_norm: after.then(|| config.norm(initializer)),
            feed_forward_norm: before.then(|| config.norm(initializer)),
            feed_forward: FeedForward::init(config, initializer),
            feed_forward_output_norm: after.then(|| config.norm(initializer)),
            dropout: config.dropout,
            are_parallel: config.parallel_residual,
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
        let before = self.are_parallel.then(|| stream.clone());
        let read = self.attention_input(stream.clone());
        let (attended, cache) = self.attention.forward(read, window, cache, draws);
        let last = Last { projection: &self.attention.output, norm: self.attention_output_norm.as_ref() };
        let stream = self.added(stream, last, attended, draws);
        let read = normed(self.feed_forward_norm.as_ref(), before.unwrap_or_else(|| stream.clone()));
        let inner = self.feed_forward.inner(read, draws);
        let last = Last { projection: &self.feed_forward.output, norm: self.feed_forward_output_norm.as_ref() };
        (self.added(stream, last, inner, draws), cache)
    }

    /// What the attention reads of the stream.
    pub(super) fn attention_input(&self, stream: Tensor<2>) -> Tensor<2> {
        normed(self.attention_norm.as_ref(), stream)
    }

    /// The stream with the last of a part added to it, in one pass where nothing is dropped or normalised.
    fn added(&self, stream: Tensor<2>, last: Last<'_>, input: Tensor<2>, draws: &mut Draws) -> Tensor<2> {
        let draw = draws.take().filter(|_| self.dropout > 0.0);
        if draw.is_none() && last.norm.is_none() {
            return last.projection.forward_onto(stream, input, draws);
        }
        stream + dropout(normed(last.norm, last.projection.forward(input, draws)), self.dropout, draw)
    }
}

/// What a part ends with.
struct Last<'a> {
    projection: &'a Projection,
    norm: Option<&'a Norm>,
}

fn normed(norm: Option<&Norm>, input: Tensor<2>) -> Tensor<2> {
    match norm {
        Some(norm) => norm.forward(input),
        None => input,
    }
}
