//! The compositions of Burn's operations, which hold all scores at once.

use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Bool, DType, Device, Tensor};

use super::{AttentionHeads, AttentionScores, WeightDropout};
use crate::activation::tanh;
use crate::dropout::dropout;

/// As [`crate::causal_attention`].
pub fn causal_attention(
    packed: Tensor<3>,
    heads: AttentionHeads,
    scores: AttentionScores,
    dropped: WeightDropout,
) -> Tensor<3> {
    let [rows, steps, _] = packed.dims();
    let AttentionHeads { queries, key_values, width } = heads;
    let part = |first: usize, count: usize| {
        let columns = packed.clone().narrow(2, first * width, count * width);
        columns.reshape([rows, steps, count, width]).swap_dims(1, 2)
    };
    let (query, key, value) = (part(0, queries), part(queries, key_values), part(queries + key_values, key_values));
    let is_plain = scores == AttentionScores { scale: (width as f64).powf(-0.5), soft_cap: None } && dropped.is_none();
    let mixed = if is_plain && queries == key_values && !packed.device().is_autodiff() {
        // Burn's own fused operation; under autodiff it would fall back on a composition that keeps more than ours. No
        // explicit scale: Burn's is the same, and naming it would turn its fast path off.
        attention(query, key, value, None, None, AttentionModuleOptions { is_causal: steps > 1, ..Default::default() })
    } else {
        attend(query, key, value, 0, scores, dropped)
    };
    mixed.swap_dims(1, 2).reshape([rows, steps, queries * width])
}

/// As [`crate::cached_attention`].
pub fn cached_attention(
    query: Tensor<3>,
    keys: Tensor<4>,
    values: Tensor<4>,
    start: usize,
    scores: AttentionScores,
) -> Tensor<3> {
    let ([rows, steps, columns], [_, _, _, width]) = (query.dims(), keys.dims());
    let query = query.reshape([rows, steps, columns / width, width]).swap_dims(1, 2);
    // The whole cache, whose unused tail is masked: its shape is the same at every step, as a GPU's tuning likes it.
    attend(query, keys, values, start, scores, None).swap_dims(1, 2).reshape([rows, steps, columns])
}

/// Queries `[B, queries, T, D]` with keys and values `[B, key_values, keys, D]` to `[B, queries, T, D]`.
fn attend(
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
    start: usize,
    AttentionScores { scale, soft_cap }: AttentionScores,
    dropped: WeightDropout,
) -> Tensor<4> {
    let ([rows, heads, steps, width], [_, shared, keys, _]) = (query.dims(), key.dims());
    // Query heads that share a key-value head stand below one another, as more rows of one product: nothing is repeated.
    let groups = heads / shared;
    let query = (query * scale).reshape([rows, shared, groups * steps, width]);
    let mut scores = query.matmul(key.transpose());
    if let Some(cap) = soft_cap {
        // Not divided: Burn rounds the reciprocal in the gradient of a division to single precision.
        scores = tanh(scores * cap.recip()) * cap;
    }
    let scores = scores.clone() + causal_mask(start, steps, keys, groups, &scores).unsqueeze();
    // softmax(s) V = (exp(s - max) V) / sum exp(s - max): the division runs over D columns instead of as many as keys.
    let weights = (scores.clone() - scores.detach().max_dim(3)).exp();
    let sums = weights.clone().sum_dim(3);
    let weights = match dropped {
        Some((probability, draw)) => dropout(weights, probability, Some(draw)),
        None => weights,
    };
    (weights.matmul(value) / sums).reshape([rows, heads, steps, width])
}

/// For queries at the positions `start..start + steps` and keys at `0..keys`: 0 where the key is not later than the
/// query, a very negative number elsewhere, `[groups * steps, keys]` with the same rows for each group.
pub(super) fn causal_mask(start: usize, steps: usize, keys: usize, groups: usize, like: &Tensor<4>) -> Tensor<2> {
    // After the softmax's exponential exactly zero, finite in the type of numbers.
    let forbidden = if like.dtype() == DType::F16 { -6.0e4 } else { -1.0e30 };
    let device: Device = like.device();
    let later = Tensor::<2, Bool>::tril_mask([steps, keys], start as i64, &device);
    let mask = Tensor::<2>::zeros([steps, keys], (&device, like.dtype())).mask_fill(later, forbidden);
    if groups == 1 { mask } else { mask.repeat_dim(0, groups) }
}
