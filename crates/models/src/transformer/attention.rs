//! Causal self-attention over heads.

use burn::module::Module;
use burn::tensor::{Tensor, assert_shape};
use kiln_kernels::{
    AttentionHeads, AttentionScores, Draws, cached_attention, causal_attention, packed_cached_attention, rotate,
};

use super::cache::LayerCache;
use super::config::TransformerConfig;
use super::norm::Norm;
use super::options::{AttentionLayer, NormKind};
use super::window::Window;
use crate::initializer::Initializer;
use crate::layers::Projection;

/// Multi-head attention (Vaswani et al. 2017, <https://arxiv.org/abs/1706.03762>):
///
/// ```text
/// (Q, K, V) = x W      for each head: y = softmax(scale Q K^T + mask) V      out = (y_1 .. y_heads) W_out
/// ```
///
/// With fewer key-value heads than heads, `heads / key-value heads` neighbouring query heads share one key-value head.
/// Query and key norms come before the rotation, the soft cap before the mask, which hides later tokens and in local
/// layers those before the window.
#[derive(Module, Debug)]
pub struct Attention {
    /// `[C, (heads + 2 key-value heads) D]`: the columns of all query heads, of all key heads, of all value heads.
    pub query_key_value: Projection,
    /// `[heads D, C]`.
    pub output: Projection,
    /// Over each query head, `[D]`, or over all of them, `[heads D]`.
    pub query_norm: Option<Norm>,
    /// Over each key head, `[D]`, or over all of them, `[key-value heads D]`.
    pub key_norm: Option<Norm>,
    dropout: f64,
    #[module(skip)]
    heads: AttentionHeads,
    #[module(skip)]
    scores: AttentionScores,
    #[module(skip)]
    layer: AttentionLayer,
}

impl Attention {
    /// That of the layer `layer`, counted from 0.
    pub(super) fn init(config: &TransformerConfig, layer: usize, initializer: &mut Initializer<'_>) -> Self {
        let (width, head_width) = (config.width, config.head_width());
        let [biases, last_biases] = config.attention_biases();
        let norm = |index: usize, initializer: &mut Initializer<'_>| {
            let width = config.query_key_norm_widths()?[index];
            Some(Norm::init(NormKind::Rms, width, false, config.norm_epsilon, initializer))
        };
        let layer = config.layer(layer);
        Self {
            query_key_value: config.projection([width, config.query_key_value_columns()], biases, initializer),
            output: config.residual_projection([config.attention_width(), width], last_biases, initializer),
            query_norm: norm(0, initializer),
            key_norm: norm(1, initializer),
            dropout: config.dropout,
            heads: AttentionHeads { queries: config.heads, key_values: config.key_value_heads(), width: head_width },
            scores: AttentionScores {
                scale: config.attention_scale.unwrap_or_else(|| (head_width as f64).powf(-0.5)),
                soft_cap: config.attention_soft_cap,
                window: config.attention_window.filter(|_| layer == AttentionLayer::Local),
            },
            layer,
        }
    }

    /// `[N, C]` to `[N, heads D]`, all but the last projection; with a cache its tokens come before the window's, and
    /// it is returned with the window's added.
    pub(super) fn forward(
        &self,
        input: Tensor<2>,
        window: &Window<'_>,
        cache: Option<LayerCache>,
        draws: &mut Draws,
    ) -> (Tensor<2>, Option<LayerCache>) {
        let (rows, steps) = (window.rows, window.steps);
        assert_shape!(input, [rows * steps, _]);
        let AttentionHeads { queries, width, .. } = self.heads;
        let packed = self.packed(input, window, draws);
        let cache = cache.map(|cache| {
            let (keys, values) = self.keys_and_values(&packed);
            cache.write(window, keys, values)
        });
        let draw = draws.take();
        let output = match &cache {
            Some(cache) if window.common_start() != Some(0) => {
                let query = packed.narrow(2, 0, queries * width);
                let (keys, values) = (cache.keys.clone(), cache.values.clone());
                if cache.is_packed {
                    packed_cached_attention(query, [keys, values], self.heads, window.starts, self.scores)
                } else {
                    cached_attention(query, keys, values, window.starts, self.scores)
                }
            }
            _ => causal_attention(packed, self.heads, self.scores, self.dropout, draw),
        };
        (output.reshape([rows * steps, queries * width]), cache)
    }

    /// How its heads lie side by side.
    pub(super) fn heads(&self) -> AttentionHeads {
        self.heads
    }

    /// How queries and keys make scores.
    pub(super) fn scores(&self) -> AttentionScores {
        self.scores
    }

    /// The product with W, normed and rotated: `[B, T, (heads + 2 key-value heads) D]`.
    pub(super) fn packed(&self, input: Tensor<2>, window: &Window<'_>, draws: &mut Draws) -> Tensor<3> {
        let AttentionHeads { queries, key_values, width } = self.heads;
        let (rows, steps) = (window.rows, window.steps);
        let packed = self.query_key_value.forward(input, draws);
        let mut packed = packed.reshape([rows, steps, (queries + 2 * key_values) * width]);
        if let (Some(query_norm), Some(key_norm)) = (&self.query_norm, &self.key_norm) {
            let part = |first: usize, count: usize| packed.clone().narrow(2, first * width, count * width);
            let query = query_norm.forward_parts(part(0, queries));
            let key = key_norm.forward_parts(part(queries, key_values));
            packed = Tensor::cat(vec![query, key, part(queries + key_values, key_values)], 2);
        }
        match window.rotary_of(self.layer) {
            Some(tables) => rotate(packed, self.heads, tables, window.starts),
            None => packed,
        }
    }

    /// The keys and values of packed projections, `[B, key-value heads, T, D]` each.
    pub(super) fn keys_and_values(&self, packed: &Tensor<3>) -> (Tensor<4>, Tensor<4>) {
        let [rows, steps, _] = packed.dims();
        let AttentionHeads { queries, key_values, width } = self.heads;
        let part = |first: usize| {
            let heads = packed.clone().narrow(2, first * width, key_values * width);
            heads.reshape([rows, steps, key_values, width]).swap_dims(1, 2)
        };
        (part(queries), part(queries + key_values))
    }
}
