//! `[model.encoder-decoder]`: its keys, defaults and rules.

use kiln_settings::Violation;
use kiln_settings::rules::{positive, probability, size};
use serde::{Deserialize, Serialize};

use crate::transformer::{FeedForwardActivation, NormKind};

/// `[model.encoder-decoder]`: a transformer that reads a source and writes a target. The defaults are the base model of
/// Vaswani et al. 2017 (<https://arxiv.org/abs/1706.03762>).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct EncoderDecoderConfig {
    /// Blocks of the encoder, one above the other. Default 6.
    pub layers: usize,
    /// Blocks of the decoder. Default: as many as the encoder has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decoder_layers: Option<usize>,
    /// Heads of attention; must divide `width`. Default 8.
    pub heads: usize,
    /// Width of the residual stream. Default 512.
    pub width: usize,
    /// Width inside the feed-forward part. Default 4 `width`; with gates 8/3 `width` rounded up to a multiple of 8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feed_forward: Option<usize>,
    /// "sinusoidal", "learned", "rotary" or "relative". Default "sinusoidal".
    pub position: CodingPosition,
    /// Slowest wavelength of the rotation is 2 pi times about this many tokens; only with `position = "rotary"`.
    /// Default 10000.
    pub rotary_base: f64,
    /// How many buckets distances fall into; only with `position = "relative"`. Default 32.
    pub relative_buckets: usize,
    /// The distance from which all are one; only with `position = "relative"`. Default 128.
    pub relative_distance: usize,
    /// "layer" or "rms". Default "layer".
    pub norm: NormKind,
    /// Whether the norm of a part of a block stands "before" it, x + part(norm(x)), with one more above the last block,
    /// or "after" the sum, norm(x + part(x)). Default "after".
    pub norm_placement: CodingNorms,
    /// Added to the variance or mean square before its root. Default 1e-5.
    pub norm_epsilon: f64,
    /// "relu", "gelu", "gelu-tanh", "relu-squared", "swiglu" or "geglu-tanh". Default "relu".
    pub activation: FeedForwardActivation,
    /// Whether projections and layer norms have biases. Default true.
    pub bias: bool,
    /// Whether source and target have one table of embeddings. Default true.
    pub shared_embeddings: bool,
    /// Whether the head multiplies with the table of the target's tokens instead of its own weights. Default true.
    pub tied: bool,
    /// Whether embeddings are multiplied by the root of `width` where they enter the stream (section 3.4). Default
    /// true.
    pub scaled_embeddings: bool,
    /// Probability that a number is dropped while training: after the embeddings, in the attention's weights, and at
    /// the end of each part. Default 0.1.
    pub dropout: f64,
}

/// How tokens of a source and of a target know where they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CodingPosition {
    /// Sines and cosines of the position, added to the embeddings (section 3.5).
    #[default]
    Sinusoidal,
    /// A trained vector for each position, added to the embeddings.
    Learned,
    /// Queries and keys of self-attention rotated by an angle proportional to the position (Su et al. 2021,
    /// <https://arxiv.org/abs/2104.09864>).
    Rotary,
    /// A trained number for each head and bucket of distances, added to the scores of self-attention, the same in all
    /// blocks of a half (T5, Raffel et al. 2020, <https://arxiv.org/abs/1910.10683>).
    Relative,
}

/// Where the norms of a block stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CodingNorms {
    /// x + part(norm(x)) (Xiong et al. 2020, <https://arxiv.org/abs/2002.04745>).
    Before,
    /// norm(x + part(x)) (Vaswani et al. 2017).
    #[default]
    After,
}

impl Default for EncoderDecoderConfig {
    fn default() -> Self {
        Self {
            layers: 6,
            decoder_layers: None,
            heads: 8,
            width: 512,
            feed_forward: None,
            position: CodingPosition::Sinusoidal,
            rotary_base: 10000.0,
            relative_buckets: 32,
            relative_distance: 128,
            norm: NormKind::Layer,
            norm_placement: CodingNorms::After,
            norm_epsilon: 1e-5,
            activation: FeedForwardActivation::Relu,
            bias: true,
            shared_embeddings: true,
            tied: true,
            scaled_embeddings: true,
            dropout: 0.1,
        }
    }
}

impl EncoderDecoderConfig {
    /// Blocks of the decoder.
    pub fn decoder_layers(&self) -> usize {
        self.decoder_layers.unwrap_or(self.layers)
    }

    /// Width of one head, D.
    pub fn head_width(&self) -> usize {
        self.width / self.heads
    }

    /// Width inside the feed-forward part, F.
    pub fn feed_forward_width(&self) -> usize {
        self.feed_forward.unwrap_or_else(|| self.activation.usual_width(self.width))
    }

    /// Columns of the feed-forward part's first matrix: gates and what they open side by side.
    pub(super) fn feed_forward_columns(&self) -> usize {
        if self.activation.has_gates() { 2 * self.feed_forward_width() } else { self.feed_forward_width() }
    }

    pub(super) fn has_norm_biases(&self) -> bool {
        self.bias && self.norm == NormKind::Layer
    }

    /// Every broken rule.
    pub(super) fn broken_rules(&self) -> Vec<Violation> {
        let rules = [
            size("layers", self.layers, 1024),
            self.decoder_layers.and_then(|layers| size("decoder-layers", layers, 1024)),
            size("heads", self.heads, 1 << 12),
            size("width", self.width, 1 << 17),
            self.feed_forward.and_then(|inner| size("feed-forward", inner, 1 << 20)),
            positive("rotary-base", self.rotary_base),
            positive("norm-epsilon", self.norm_epsilon),
            probability("dropout", self.dropout),
            self.heads(),
            self.distances(),
        ];
        rules.into_iter().flatten().collect()
    }

    fn heads(&self) -> Option<Violation> {
        let (heads, width) = (self.heads, self.width);
        if heads == 0 || width == 0 {
            return None;
        }
        if !width.is_multiple_of(heads) {
            return Some(Violation::new("heads", format!("must divide width ({width}), is {heads}")));
        }
        let odd = self.position == CodingPosition::Rotary && !self.head_width().is_multiple_of(2);
        odd.then(|| {
            let message = format!("gives heads of width {}, but rotary positions need an even width", width / heads);
            Violation::new("heads", message).with_help("change heads or width, or use position = \"sinusoidal\"")
        })
    }

    /// T5's buckets: half of them for each direction, half of those for single distances.
    fn distances(&self) -> Option<Violation> {
        let (buckets, distance) = (self.relative_buckets, self.relative_distance);
        if buckets < 4 || !buckets.is_multiple_of(4) || buckets > 1 << 16 {
            let message = format!("must be a multiple of 4 between 4 and {}, is {buckets}", 1 << 16);
            return Some(Violation::new("relative-buckets", message));
        }
        let single = buckets / 2;
        (distance <= single || distance > 1 << 32).then(|| {
            let message = format!("must be above half of `relative-buckets` ({single}), is {distance}");
            Violation::new("relative-distance", message)
        })
    }
}
