//! The compositions of Burn's operations, which hold all scores at once.

use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Bool, DType, Device, Int, Tensor, TensorData};

use super::geometry::{AttentionHeads, AttentionScores};
use crate::activation::tanh;
use crate::dropout::{Draw, weight_dropout};
use crate::product::rounding::{precision_on_cpu, product};

/// Dropout of weights: a probability and its random numbers.
pub(crate) type WeightDropout = Option<(f64, Draw)>;

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
    let usual = AttentionScores { scale: (width as f64).powf(-0.5), soft_cap: None, window: None };
    let is_plain = scores == usual && dropped.is_none();
    let mixed = if is_plain && queries == key_values && !packed.device().is_autodiff() {
        // Burn's own fused operation; under autodiff it would fall back on a composition that keeps more than ours. No
        // explicit scale: Burn's is the same, and naming it would turn its fast path off.
        attention(query, key, value, None, None, AttentionModuleOptions { is_causal: steps > 1, ..Default::default() })
    } else {
        let groups = queries / key_values;
        attend(query, key, value, scores, dropped, |products| {
            let mask = causal_mask(steps, groups, scores.window, &products);
            products + mask.unsqueeze()
        })
    };
    mixed.swap_dims(1, 2).reshape([rows, steps, queries * width])
}

/// Keys of a cache are read up to a multiple of this: a GPU tunes products by their shapes, of which a text that grows
/// by one token at a time would otherwise have a new shape at every step.
const KEY_STEP: usize = 64;

/// As [`crate::cached_attention`].
pub fn cached_attention(
    query: Tensor<3>,
    keys: Tensor<4>,
    values: Tensor<4>,
    starts: &[usize],
    scores: AttentionScores,
) -> Tensor<3> {
    let ([rows, steps, columns], [_, shared, capacity, width]) = (query.dims(), keys.dims());
    let (heads, device) = (columns / width, query.device());
    let query = query.reshape([rows, steps, heads, width]).swap_dims(1, 2);
    let longest = starts.iter().max().map_or(0, |start| start + steps);
    let length = longest.next_multiple_of(KEY_STEP).min(capacity);
    let [keys, mut values] = [keys, values].map(|cache| cache.narrow(2, 0, length));
    if starts.iter().any(|start| start + steps < length) {
        // No query sees these values, but zero times NaN is NaN.
        let last: Vec<usize> = starts.iter().map(|start| start + steps - 1).collect();
        let unseen = hidden_keys(&last, None, [rows, 1, length], &device).reshape([rows, 1, length, 1]);
        values = values.mask_fill(unseen.expand([rows, shared, length, width]), 0.0);
    }
    let groups = heads / shared;
    let of_row = |start: usize| (0..groups).flat_map(move |_| 0..steps).map(move |step| start + step);
    let positions: Vec<usize> = starts.iter().copied().flat_map(of_row).collect();
    let mixed = attend(query, keys, values, scores, None, |products| {
        let hidden = hidden_keys(&positions, scores.window, [rows, groups * steps, length], &device);
        // Replaced rather than added to: these keys may be NaN.
        let forbidden = forbidden(&products);
        products.mask_fill(hidden.unsqueeze_dim::<4>(1).expand([rows, shared, groups * steps, length]), forbidden)
    });
    mixed.swap_dims(1, 2).reshape([rows, steps, columns])
}

/// Whether a key is later than a query or before its window, `[B, queries, keys]`, for queries at `positions` `[B,
/// queries]` and keys from 0 on.
pub(super) fn hidden_keys(
    positions: &[usize],
    window: Option<usize>,
    shape: [usize; 3],
    device: &Device,
) -> Tensor<3, Bool> {
    let [rows, queries, keys] = shape;
    let positions: Vec<i32> = positions.iter().map(|position| *position as i32).collect();
    let positions = Tensor::<3, Int>::from_data(TensorData::new(positions, [rows, queries, 1]), device);
    let keys = Tensor::<1, Int>::arange(0..keys as i64, device).reshape([1, 1, keys]);
    let later = keys.clone().expand(shape).greater(positions.clone().expand(shape));
    match window {
        Some(window) => later.bool_or((keys + window as i64).expand(shape).lower_equal(positions.expand(shape))),
        None => later,
    }
}

/// Queries `[B, queries, T, D]` with keys and values `[B, key_values, keys, D]` to `[B, queries, T, D]`. `hide` makes
/// the scores `[B, key_values, queries / key_values T, keys]` of keys that a query doesn't see very small.
fn attend(
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
    AttentionScores { scale, soft_cap, .. }: AttentionScores,
    dropped: WeightDropout,
    hide: impl FnOnce(Tensor<4>) -> Tensor<4>,
) -> Tensor<4> {
    let ([rows, heads, steps, width], [_, shared, _, _]) = (query.dims(), key.dims());
    // Query heads that share a key-value head stand below one another, as more rows of one product: nothing is
    // repeated.
    let groups = heads / shared;
    let query = (query * scale).reshape([rows, shared, groups * steps, width]);
    let precision = precision_on_cpu(&query);
    let mut scores = product(query, key.transpose(), precision);
    if let Some(cap) = soft_cap {
        // Not divided: Burn rounds the reciprocal in the gradient of a division to single precision.
        scores = tanh(scores * cap.recip()) * cap;
    }
    let scores = hide(scores);
    // softmax(s) V = (exp(s - max) V) / sum exp(s - max): the division runs over D columns instead of as many as keys.
    let weights = (scores.clone() - scores.detach().max_dim(3)).exp();
    let sums = weights.clone().sum_dim(3);
    let weights = match dropped {
        Some((probability, draw)) => weight_dropout(weights, probability, draw, steps),
        None => weights,
    };
    (product(weights, value, precision) / sums).reshape([rows, heads, steps, width])
}

/// For queries and keys at the positions `0..steps`: 0 where the key is not later than the query and within its window,
/// a very negative number elsewhere, `[groups * steps, steps]` with the same rows for each group.
fn causal_mask(steps: usize, groups: usize, window: Option<usize>, like: &Tensor<4>) -> Tensor<2> {
    let device: Device = like.device();
    let later = Tensor::<2, Bool>::tril_mask([steps, steps], 0, &device);
    let hidden = match window {
        Some(window) => later.bool_or(Tensor::<2, Bool>::triu_mask([steps, steps], 1 - window as i64, &device)),
        None => later,
    };
    let mask = Tensor::<2>::zeros([steps, steps], (&device, like.dtype())).mask_fill(hidden, forbidden(like));
    if groups == 1 { mask } else { mask.repeat_dim(0, groups) }
}

/// After the softmax's exponential exactly zero, finite in the type of numbers.
pub(crate) fn forbidden(scores: &Tensor<4>) -> f64 {
    if scores.dtype() == DType::F16 { -6.0e4 } else { -1.0e30 }
}
