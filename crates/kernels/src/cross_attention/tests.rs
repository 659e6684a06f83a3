use burn::tensor::{DType, Device, Tensor};

use super::{SeenKeys, cross_attention, reference};
use crate::attention::{AttentionHeads, AttentionScores, causal_attention};
use crate::testing::{assert_close, assert_equals_reference, assert_gradients, tensor, values};

/// Rows, queries, keys, query heads, key-value heads, width.
const SIZES: [[usize; 6]; 6] = [
    [1, 1, 1, 1, 1, 1],
    [2, 3, 5, 1, 1, 3],
    [3, 70, 9, 4, 2, 5],
    [2, 5, 130, 3, 3, 16],
    [4, 65, 65, 2, 1, 8],
    [1, 9, 40, 4, 1, 32],
];

/// Lengths that differ, the last row's being all.
fn lengths(rows: usize, keys: usize) -> Vec<usize> {
    (1..=rows).map(|row| (keys * row / rows).max(1)).collect()
}

#[test]
fn attention_to_another_sequence_equals_its_reference() {
    for [rows, queries, keys, count, shared, width] in SIZES {
        let heads = AttentionHeads { queries: count, key_values: shared, width };
        let [of_query, of_keys] = [rows * queries * count * width, rows * keys * 2 * shared * width];
        let late: Vec<usize> = (0..rows).map(|row| row % keys).collect();
        for starts in [None, Some(late)] {
            for biases in [0, 1, rows] {
                let seen = SeenKeys { lengths: lengths(rows, keys), starts: starts.clone() };
                let parts = |inputs: &[Tensor<1>]| {
                    let bias = (biases > 0).then(|| inputs[2].clone().reshape([biases, count, queries, keys]));
                    let query = inputs[0].clone().reshape([rows, queries, count * width]);
                    (query, inputs[1].clone().reshape([rows, keys, 2 * shared * width]), bias)
                };
                let fused = |inputs: &[Tensor<1>]| {
                    let (query, keys, bias) = parts(inputs);
                    cross_attention(query, keys, bias, &seen, heads, 0.7, None).reshape([of_query])
                };
                let expected = |inputs: &[Tensor<1>]| {
                    let (query, keys, bias) = parts(inputs);
                    reference::cross_attention(query, keys, bias, &seen, heads, 0.7, None).reshape([of_query])
                };
                let inputs = [of_query, of_keys, (biases * count * queries * keys).max(1)];
                let what = format!("attention of {rows} x {queries} to {keys} over {heads:?}, {biases} biases");
                assert_equals_reference(&what, &inputs, &fused, &expected);
                assert_gradients(&what, &inputs, &fused);
            }
        }
    }
}

#[test]
fn weights_are_dropped_and_gradients_know_it() {
    let heads = AttentionHeads { queries: 4, key_values: 2, width: 3 };
    let (rows, queries, keys) = (2, 70, 9);
    let seen = SeenKeys { lengths: vec![4, 9], starts: None };
    let draw = crate::Draws::from_seed(5).take().map(|draw| (0.4, draw));
    let lengths = [rows * queries * 12, rows * keys * 12];
    let parts = |inputs: &[Tensor<1>]| {
        (inputs[0].clone().reshape([rows, queries, 12]), inputs[1].clone().reshape([rows, keys, 12]))
    };
    let attend = |inputs: &[Tensor<1>]| {
        let (query, keys) = parts(inputs);
        cross_attention(query, keys, None, &seen, heads, 0.6, draw).reshape([lengths[0]])
    };
    let expected = |inputs: &[Tensor<1>]| {
        let (query, keys) = parts(inputs);
        reference::cross_attention(query, keys, None, &seen, heads, 0.6, draw).reshape([lengths[0]])
    };
    assert_equals_reference("attention with dropout", &lengths, &attend, &expected);
    assert_gradients("attention with dropout", &lengths, &attend);
}

#[test]
fn to_the_own_sequence_without_later_keys_it_is_causal_attention() {
    let heads = AttentionHeads { queries: 4, key_values: 2, width: 5 };
    let (rows, steps) = (3, 70);
    let packed = tensor::<3>([rows, steps, heads.packed_columns()], 1, DType::F64, &Device::flex());
    let scores = AttentionScores { scale: 0.4, soft_cap: None, window: None };
    let expected = values(&causal_attention(packed.clone(), heads, scores, 0.0, None));
    let seen = SeenKeys { lengths: vec![steps; rows], starts: Some(vec![0; rows]) };
    let (query, others) = (packed.clone().narrow(2, 0, 20), packed.narrow(2, 20, 20));
    let found = values(&cross_attention(query, others, None, &seen, heads, 0.4, None));
    assert_close("causal attention", &found, &expected, 1e-12);
}

#[test]
fn what_lies_behind_a_length_changes_no_bit() {
    let heads = AttentionHeads { queries: 2, key_values: 2, width: 8 };
    let device = Device::flex();
    let query = tensor::<3>([2, 7, 16], 1, DType::F32, &device);
    let keys = tensor::<3>([2, 9, 32], 2, DType::F32, &device);
    let seen = SeenKeys { lengths: vec![4, 6], starts: None };
    let expected = values(&cross_attention(query.clone(), keys.clone(), None, &seen, heads, 0.5, None));
    let spoiled = keys.slice_fill([0..1, 4..9, 0..32], f32::NAN).slice_fill([1..2, 6..9, 0..32], f32::INFINITY);
    let longer = Tensor::cat(vec![spoiled, Tensor::full([2, 30, 32], f32::NAN, &device)], 1);
    assert_eq!(values(&cross_attention(query, longer, None, &seen, heads, 0.5, None)), expected);
}

#[test]
#[should_panic(expected = "every row has between 1 and 3 keys")]
fn a_row_without_keys_is_refused() {
    let heads = AttentionHeads { queries: 1, key_values: 1, width: 2 };
    let (query, keys) = (Tensor::zeros([1, 2, 2], &Device::flex()), Tensor::zeros([1, 3, 4], &Device::flex()));
    let seen = SeenKeys { lengths: vec![0], starts: None };
    cross_attention(query, keys, None, &seen, heads, 1.0, None);
}
