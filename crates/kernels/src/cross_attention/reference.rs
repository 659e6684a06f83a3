//! The composition of Burn's operations, which holds all weights at once.

use burn::tensor::{Bool, Tensor, TensorData};

use super::SeenKeys;
use crate::attention::AttentionHeads;
use crate::attention::reference::{WeightDropout, forbidden};
use crate::dropout::weight_dropout;
use crate::product::rounding::{precision_on_cpu, product};

/// As [`crate::cross_attention`].
pub fn cross_attention(
    query: Tensor<3>,
    keys_and_values: Tensor<3>,
    bias: Option<Tensor<4>>,
    seen: &SeenKeys,
    heads: AttentionHeads,
    scale: f64,
    dropped: WeightDropout,
) -> Tensor<3> {
    let ([rows, queries, columns], [_, keys, _]) = (query.dims(), keys_and_values.dims());
    let AttentionHeads { queries: count, key_values: shared, width } = heads;
    let part = |first: usize| {
        let columns = keys_and_values.clone().narrow(2, first * width, shared * width);
        columns.reshape([rows, keys, shared, width]).swap_dims(1, 2)
    };
    // Query heads that share a key-value head stand below one another, as more rows of one product.
    let (group, stacked) = (heads.group(), [rows, shared, heads.group() * queries, width]);
    let query = (query * scale).reshape([rows, queries, count, width]).swap_dims(1, 2).reshape(stacked);
    let precision = precision_on_cpu(&query);
    let mut scores = product(query, part(0).transpose(), precision);
    if let Some(bias) = bias {
        let [of_rows, ..] = bias.dims();
        scores = scores + bias.reshape([of_rows, shared, group * queries, keys]);
    }
    let hidden = |row: usize| {
        let of_query = move |query: usize| (0..keys).map(move |key| key >= seen.count(row, query));
        (0..group).flat_map(move |_| (0..queries).flat_map(of_query))
    };
    let hidden: Vec<bool> = (0..rows).flat_map(hidden).collect();
    let hidden = TensorData::new(hidden, [rows, 1, group * queries, keys]);
    let hidden = Tensor::<4, Bool>::from_data(hidden, &scores.device()).expand(scores.dims());
    let smallest = forbidden(&scores);
    let scores = scores.mask_fill(hidden, smallest);
    let weights = (scores.clone() - scores.detach().max_dim(3)).exp();
    let sums = weights.clone().sum_dim(3);
    let weights = match dropped {
        Some((probability, draw)) => weight_dropout(weights, probability, draw, queries),
        None => weights,
    };
    let output = product(weights, part(shared), precision) / sums;
    output.reshape([rows, count, queries, width]).swap_dims(1, 2).reshape([rows, queries, columns])
}
