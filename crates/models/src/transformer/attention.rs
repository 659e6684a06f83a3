//! Causal self-attention over heads.

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig};
use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Device, Tensor, assert_shape};

use super::cache::LayerCache;
use super::config::{NormKind, TransformerConfig};
use super::mask::causal_mask;
use super::norm::Norm;
use super::rotary::Rotation;
use crate::layers::Projection;

/// Multi-head attention (Vaswani et al. 2017, <https://arxiv.org/abs/1706.03762>):
///
/// ```text
/// (Q, K, V) = x W      for each head: y = softmax(Q K^T / sqrt(D) + mask) V      out = (y_1 .. y_heads) W_out
/// ```
///
/// With fewer key-value heads than heads, `heads / key-value heads` neighbouring query heads share one key-value head.
/// Query and key norms come before the rotation, the soft cap before the mask.
#[derive(Module, Debug)]
pub struct Attention {
    /// `[C, (heads + 2 key-value heads) D]`: the columns of all query heads, of all key heads, of all value heads.
    pub query_key_value: Projection,
    /// `[heads D, C]`.
    pub output: Projection,
    /// Over each query head, `[D]`.
    pub query_norm: Option<Norm>,
    /// Over each key head, `[D]`.
    pub key_norm: Option<Norm>,
    dropout: Dropout,
    heads: usize,
    key_value_heads: usize,
    soft_cap: Option<f64>,
}

/// What all blocks share about the tokens that they work on.
pub(super) struct Window {
    /// B.
    pub(super) rows: usize,
    /// T.
    pub(super) steps: usize,
    /// Position of the first token.
    pub(super) start: usize,
    /// `[groups * T, keys]`, where it is needed.
    pub(super) mask: Option<Tensor<2>>,
    /// For rotary positions.
    pub(super) rotation: Option<Rotation>,
}

impl Attention {
    pub(super) fn init(config: &TransformerConfig, device: &Device) -> Self {
        let (width, head_width) = (config.width, config.head_width());
        let norm =
            || config.query_key_norm.then(|| Norm::init(NormKind::Rms, head_width, false, config.norm_epsilon, device));
        Self {
            query_key_value: config.projection([width, config.query_key_value_columns()], device),
            output: config.residual_projection([width, width], device),
            query_norm: norm(),
            key_norm: norm(),
            dropout: DropoutConfig::new(config.dropout).init(),
            heads: config.heads,
            key_value_heads: config.key_value_heads(),
            soft_cap: config.attention_soft_cap,
        }
    }

    /// `[N, C]` to `[N, C]`; with a cache its tokens come before the window's, and it is returned with the window's
    /// added.
    pub(super) fn forward(
        &self,
        input: Tensor<2>,
        window: &Window,
        cache: Option<LayerCache>,
    ) -> (Tensor<2>, Option<LayerCache>) {
        let Window { rows, steps, start, .. } = *window;
        assert_shape!(input, [rows * steps, _]);
        let (query, key, value) = self.heads(input, window);
        let (output, cache) = match cache {
            None => (self.attend(query, key, value, window), None),
            Some(cache) => {
                let cache = cache.write(start, key.clone(), value.clone());
                let output = match start {
                    0 => self.attend(query, key, value, window),
                    _ => self.attend(query, cache.keys.clone(), cache.values.clone(), window),
                };
                (output, Some(cache))
            }
        };
        let [_, heads, _, width] = output.dims();
        (self.output.forward(output.swap_dims(1, 2).reshape([rows * steps, heads * width])), cache)
    }

    /// The mask that a window at `start` needs against `keys` keys, once for all blocks.
    pub(super) fn mask(&self, start: usize, steps: usize, keys: usize, device: &Device) -> Option<Tensor<2>> {
        let needed = keys > 1 && !(keys == steps && self.is_fused(device));
        needed.then(|| causal_mask(start, steps, keys, self.heads / self.key_value_heads, device))
    }

    /// Whether Burn's fused operation computes what is asked for. Under autodiff it would fall back on a composition
    /// that keeps more intermediate results than ours.
    fn is_fused(&self, device: &Device) -> bool {
        !device.is_autodiff() && self.soft_cap.is_none() && self.heads == self.key_value_heads
    }

    /// The product with W: queries `[B, heads, T, D]`, keys and values `[B, key-value heads, T, D]`.
    fn heads(&self, input: Tensor<2>, window: &Window) -> (Tensor<4>, Tensor<4>, Tensor<4>) {
        let (heads, shared) = (self.heads, self.key_value_heads);
        let width = self.query_key_value.output_width() / (heads + 2 * shared);
        let part = |first: usize, count: usize| {
            let columns = self.query_key_value.forward_columns(input.clone(), first * width, count * width);
            columns.reshape([window.rows, window.steps, count, width])
        };
        let (query, key, value) = (part(0, heads), part(heads, shared), part(heads + shared, shared));
        let prepare = |part: Tensor<4>, norm: &Option<Norm>| {
            let part = match norm {
                Some(norm) => norm.forward(part),
                None => part,
            };
            match &window.rotation {
                Some(rotation) => rotation.apply(part),
                None => part,
            }
        };
        let (query, key) = (prepare(query, &self.query_norm), prepare(key, &self.key_norm));
        (query.swap_dims(1, 2), key.swap_dims(1, 2), value.swap_dims(1, 2))
    }

    /// Queries `[B, heads, T, D]` with keys and values `[B, key-value heads, keys, D]` to `[B, heads, T, D]`.
    fn attend(&self, query: Tensor<4>, key: Tensor<4>, value: Tensor<4>, window: &Window) -> Tensor<4> {
        let [rows, heads, steps, width] = query.dims();
        let device = query.device();
        if window.mask.is_none() && self.is_fused(&device) {
            // No explicit scale: Burn's is the same, and naming it would turn its fast path off.
            let options = AttentionModuleOptions { is_causal: steps > 1, ..Default::default() };
            return attention(query, key, value, None, None, options);
        }
        // Query heads that share a key-value head stand below one another, as more rows of one product: nothing is
        // repeated.
        let (shared, groups) = (self.key_value_heads, heads / self.key_value_heads);
        let query = (query * (width as f64).powf(-0.5)).reshape([rows, shared, groups * steps, width]);
        let mut scores = query.matmul(key.transpose());
        if let Some(cap) = self.soft_cap {
            scores = (scores / cap).tanh() * cap;
        }
        if let Some(mask) = &window.mask {
            scores = scores + mask.clone().unsqueeze();
        }
        // softmax(s) V = (exp(s - max) V) / sum exp(s - max): the division runs over D columns instead of as many as
        // keys.
        let weights = (scores.clone() - scores.detach().max_dim(3)).exp();
        let sums = weights.clone().sum_dim(3);
        let mixed = self.dropout.forward(weights).matmul(value) / sums;
        mixed.reshape([rows, heads, steps, width])
    }
}
