//! `[model.transformer]`: its keys and defaults.

use serde::{Deserialize, Serialize};

use super::options::{
    AttentionBias, AttentionLayer, FeedForwardActivation, NormKind, NormPlacement, PositionKind, QueryKeyNormSpan,
};
use super::scaling::RotaryScaling;

/// `[model.transformer]`: a decoder transformer. The defaults are nanoGPT's for characters, 10.8 million parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct TransformerConfig {
    /// Blocks, one above the other. Default 6.
    pub layers: usize,
    /// Heads of attention; must divide `width`. Default 6.
    pub heads: usize,
    /// Heads that keys and values have; must divide `heads`. Fewer than `heads` is grouped-query attention
    /// (Ainslie et al. 2023, <https://arxiv.org/abs/2305.13245>). Default: the same as `heads`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_value_heads: Option<usize>,
    /// Width of the residual stream. Default 384.
    pub width: usize,
    /// Width of one head (Qwen 3, Gemma). Default `width` / `heads`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head_width: Option<usize>,
    /// Width inside the feed-forward part. Default 4 `width`; with gates ("swiglu", "geglu-tanh") 8/3 `width` rounded
    /// up to a multiple of 8, which costs as many parameters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feed_forward: Option<usize>,
    /// "learned" or "rotary". Default "learned".
    pub position: PositionKind,
    /// Slowest wavelength of the rotation is 2 pi times about this many tokens; only with `position = "rotary"`.
    /// Default 10000.
    pub rotary_base: f64,
    /// The part of each head's columns that is rotated, its first ones (GPT-NeoX, Black et al. 2022,
    /// <https://arxiv.org/abs/2204.06745>); only with `position = "rotary"`. Default 1.
    pub rotary_fraction: f64,
    /// The base of the rotation in local layers, which is not stretched there (Gemma 3,
    /// <https://arxiv.org/abs/2503.19786>). Default: base and stretching are those of all layers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_rotary_base: Option<f64>,
    /// How the wavelengths of the rotation are stretched for a longer context; only with `position = "rotary"`.
    /// Default: not at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotary_scaling: Option<RotaryScaling>,
    /// Tokens that a token sees in local layers: itself and those before it (Beltagy et al. 2020,
    /// <https://arxiv.org/abs/2004.05150>; Mistral 7B, <https://arxiv.org/abs/2310.06825>). Default: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attention_window: Option<usize>,
    /// The layers from the lowest on, each "global", "local" or "unrotated"; above the last the list begins anew.
    /// Default: all "local" with `attention_window`, all "global" without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer_pattern: Option<Vec<AttentionLayer>>,
    /// What the product of a query and a key is multiplied by. Default D^(-1/2), D being the width of a head.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attention_scale: Option<f64>,
    /// "layer" or "rms". Default "layer".
    pub norm: NormKind,
    /// Whether the norms of a block stand "before" its parts, "after" them, or "both". Default "before".
    pub norm_placement: NormPlacement,
    /// Whether layer norms have biases. Default: as `bias` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub norm_bias: Option<bool>,
    /// Added to the variance or mean square before its root. Default 1e-5.
    pub norm_epsilon: f64,
    /// "gelu", "gelu-tanh", "relu", "relu-squared", "swiglu" or "geglu-tanh". Default "gelu".
    pub activation: FeedForwardActivation,
    /// Whether the feed-forward part reads what the attention reads, and not what comes out of it: x +
    /// attention(norm(x)) + feed-forward(norm'(x)) (GPT-NeoX). Default false.
    pub parallel_residual: bool,
    /// Whether projections and layer norms have biases, where no other key says it. Default false.
    pub bias: bool,
    /// Which projections of the attention have biases: "none", "query-key-value" (Qwen 2) or "all". Default: "all" with
    /// `bias`, "none" without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attention_bias: Option<AttentionBias>,
    /// Whether the head multiplies with the token embedding's table instead of its own weights. Default true.
    pub tied: bool,
    /// Whether token embeddings are multiplied by the root of `width` where they enter the stream, not in the head
    /// (Vaswani et al. 2017, <https://arxiv.org/abs/1706.03762>, section 3.4; Gemma). Default false.
    pub scaled_embeddings: bool,
    /// Whether queries and keys are normalised before they meet (Dehghani et al. 2023,
    /// <https://arxiv.org/abs/2302.05442>), by an RMS norm with weights. Default false.
    pub query_key_norm: bool,
    /// Whether that norm runs over each "head" or over "all-heads". Default "head".
    pub query_key_norm_over: QueryKeyNormSpan,
    /// c in s -> c tanh(s / c) on attention scores (Gemma 2, <https://arxiv.org/abs/2408.00118>). Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attention_soft_cap: Option<f64>,
    /// The same on the logits. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logit_soft_cap: Option<f64>,
    /// Probability that a number is dropped while training: after the embeddings, in the attention's weights, and at
    /// the end of each attention and feed-forward part. Default 0.
    pub dropout: f64,
}

impl Default for TransformerConfig {
    fn default() -> Self {
        Self {
            layers: 6,
            heads: 6,
            key_value_heads: None,
            width: 384,
            head_width: None,
            feed_forward: None,
            position: PositionKind::Learned,
            rotary_base: 10000.0,
            rotary_fraction: 1.0,
            local_rotary_base: None,
            rotary_scaling: None,
            attention_window: None,
            layer_pattern: None,
            attention_scale: None,
            norm: NormKind::Layer,
            norm_placement: NormPlacement::Before,
            norm_bias: None,
            norm_epsilon: 1e-5,
            activation: FeedForwardActivation::Gelu,
            parallel_residual: false,
            bias: false,
            attention_bias: None,
            tied: true,
            scaled_embeddings: false,
            query_key_norm: false,
            query_key_norm_over: QueryKeyNormSpan::Head,
            attention_soft_cap: None,
            logit_soft_cap: None,
            dropout: 0.0,
        }
    }
}

impl TransformerConfig {
    /// Width of one head, D.
    pub fn head_width(&self) -> usize {
        self.head_width.unwrap_or(self.width / self.heads)
    }

    /// Width of all query heads side by side, which is what attention gives.
    pub fn attention_width(&self) -> usize {
        self.heads * self.head_width()
    }

    /// Whether the product that gives queries, keys and values has biases, and whether that at the end of attention.
    pub(crate) fn attention_biases(&self) -> [bool; 2] {
        match self.attention_bias {
            None => [self.bias, self.bias],
            Some(AttentionBias::None) => [false, false],
            Some(AttentionBias::QueryKeyValue) => [true, false],
            Some(AttentionBias::All) => [true, true],
        }
    }

    /// Heads of keys and values.
    pub fn key_value_heads(&self) -> usize {
        self.key_value_heads.unwrap_or(self.heads)
    }

    /// Width inside the feed-forward part, F.
    pub fn feed_forward_width(&self) -> usize {
        self.feed_forward.unwrap_or_else(|| self.activation.usual_width(self.width))
    }

    /// Columns of the feed-forward part's first matrix: gates and what they open side by side.
    pub fn feed_forward_columns(&self) -> usize {
        if self.activation.has_gates() { 2 * self.feed_forward_width() } else { self.feed_forward_width() }
    }

    /// Whether norms of the stream have biases.
    /// Whether queries and keys are normalised over all heads together.
    pub fn has_norms_over_all_heads(&self) -> bool {
        self.query_key_norm && self.query_key_norm_over == QueryKeyNormSpan::AllHeads
    }

    pub(crate) fn has_norm_biases(&self) -> bool {
        self.norm == NormKind::Layer && self.norm_bias.unwrap_or(self.bias)
    }

    /// Columns of a head that are rotated, R.
    pub(crate) fn rotated_columns(&self) -> usize {
        (self.head_width() as f64 * self.rotary_fraction) as usize
    }

    /// What a layer's attention sees.
    pub fn layer(&self, layer: usize) -> AttentionLayer {
        match &self.layer_pattern {
            Some(pattern) => pattern[layer % pattern.len()],
            None if self.attention_window.is_some() => AttentionLayer::Local,
            None => AttentionLayer::Global,
        }
    }

    /// How many layers have a window.
    pub(super) fn local_layers(&self) -> usize {
        let local = |layers: &[AttentionLayer]| layers.iter().filter(|layer| **layer == AttentionLayer::Local).count();
        match &self.layer_pattern {
            Some(pattern) if !pattern.is_empty() => {
                let (whole, rest) = (self.layers / pattern.len(), self.layers % pattern.len());
                whole * local(pattern) + local(&pattern[..rest])
            }
            _ if self.attention_window.is_some() => self.layers,
            _ => 0,
        }
    }

    /// The widths of the norms of queries and of keys, if there are any.
    pub(super) fn query_key_norm_widths(&self) -> Option<[usize; 2]> {
        let heads = match self.query_key_norm_over {
            QueryKeyNormSpan::Head => [1, 1],
            QueryKeyNormSpan::AllHeads => [self.heads, self.key_value_heads()],
        };
        self.query_key_norm.then(|| heads.map(|heads| heads * self.head_width()))
    }

    /// Columns of the fused query, key and value product.
    pub(super) fn query_key_value_columns(&self) -> usize {
        (self.heads + 2 * self.key_value_heads()) * self.head_width()
    }
}
