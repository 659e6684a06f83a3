//! One block: attention, then feed-forward, each behind a norm and added to the residual stream.

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig};
use burn::tensor::{Device, Tensor};

use super::attention::{Attention, Window};
use super::cache::LayerCache;
use super::config::TransformerConfig;
use super::feed_forward::FeedForward;
use super::norm::Norm;

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
    dropout: Dropout,
}

impl Block {
    pub(super) fn init(config: &TransformerConfig, device: &Device) -> Self {
        Self {
            attention_norm: config.norm(device),
            attention: Attention::init(config, device),
            feed_forward_norm: config.norm(device),
            feed_forward: FeedForward::init(config, device),
            dropout: DropoutConfig::new(config.dropout).init(),
        }
    }

    /// `[N, C]` to `[N, C]`.
    pub(super) fn forward(
        &self,
        stream: Tensor<2>,
        window: &Window,
        cache: Option<LayerCache>,
    ) -> (Tensor<2>, Option<LayerCache>) {
        let (attended, cache) = self.attention.forward(self.attention_norm.forward(stream.clone()), window, cache);
        let stream = stream + self.dropout.forward(attended);
        let fed = self.feed_forward.forward(self.feed_forward_norm.forward(stream.clone()));
        (stream + self.dropout.forward(fed), cache)
    }
}
