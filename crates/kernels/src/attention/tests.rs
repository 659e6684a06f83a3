use burn::tensor::{DType, Device, Tensor};

use super::{AttentionHeads, AttentionScores, cached_attention, causal_attention, reference};
use crate::testing::{assert_close, assert_equals_reference, assert_gradients, tensor, values};

/// Rows, steps, query heads, key-value heads, width.
const SIZES: [[usize; 5]; 7] = [
    [1, 1, 1, 1, 1],
    [2, 2, 1, 1, 3],
    [1, 63, 2, 1, 8],
    [3, 65, 4, 2, 5],
    [2, 130, 3, 3, 16],
    [1, 200, 4, 1, 32],
    [5, 17, 2, 2, 64],
];

fn scores(width: usize, soft_cap: Option<f64>) -> AttentionScores {
    // Not the usual scale.
    AttentionScores { scale: 1.7 * (width as f64).powf(-0.5), soft_cap, window: None }
}

/// Soft caps and windows.
const PATTERNS: [(Option<f64>, Option<usize>); 6] =
    [(None, None), (Some(1.5), None), (None, Some(1)), (None, Some(7)), (Some(1.5), Some(64)), (None, Some(150))];

fn pattern(width: usize, (soft_cap, window): (Option<f64>, Option<usize>)) -> AttentionScores {
    AttentionScores { window, ..scores(width, soft_cap) }
}

#[test]
fn causal_attention_equals_its_reference() {
    for [rows, steps, queries, key_values, width] in SIZES {
        let heads = AttentionHeads { queries, key_values, width };
        let columns = heads.packed_columns();
        for pattern in PATTERNS.map(|choice| pattern(width, choice)) {
            let packed = |inputs: &[Tensor<1>]| (inputs[0].clone() * 2.0).reshape([rows, steps, columns]);
            let length = rows * steps * queries * width;
            let fused =
                |inputs: &[Tensor<1>]| causal_attention(packed(inputs), heads, pattern, 0.0, None).reshape([length]);
            let expected = |inputs: &[Tensor<1>]| {
                reference::causal_attention(packed(inputs), heads, pattern, None).reshape([length])
            };
            let what = format!("attention of {rows} x {steps} over {heads:?}, {pattern:?}");
            assert_equals_reference(&what, &[rows * steps * columns], &fused, &expected);
            assert_gradients(&what, &[rows * steps * columns], &fused);
        }
    }
}

#[test]
fn weights_are_dropped_and_gradients_know_it() {
    let heads = AttentionHeads { queries: 4, key_values: 2, width: 3 };
    let (rows, steps, columns) = (2, 70, heads.packed_columns());
    let draw = crate::Draws::from_seed(5).take();
    let attend = |inputs: &[Tensor<1>]| {
        let packed = inputs[0].clone().reshape([rows, steps, columns]);
        causal_attention(packed, heads, scores(3, None), 0.4, draw).reshape([rows * steps * 12])
    };
    assert_gradients("attention with dropout", &[rows * steps * columns], &attend);
    // The composition drops the same weights.
    let expected = |inputs: &[Tensor<1>]| {
        let packed = inputs[0].clone().reshape([rows, steps, columns]);
        let dropout = draw.map(|draw| (0.4, draw));
        reference::causal_attention(packed, heads, scores(3, None), dropout).reshape([rows * steps * 12])
    };
    assert_equals_reference("attention with dropout", &[rows * steps * columns], &attend, &expected);
    // The first query sees one key, whose weight is 1: dropped or over the probability of being kept.
    let packed = Tensor::ones([rows, steps, columns], &Device::flex());
    let output = causal_attention(packed, heads, scores(3, None), 0.4, draw).narrow(1, 0, 1);
    assert!(values(&output).iter().all(|x| *x == 0.0 || (x - 1.0 / 0.6).abs() < 1e-6));
}

/// Queries, keys and values: rows of random numbers, in a cache for `capacity` positions.
fn cached_inputs(
    [rows, steps, queries, key_values, width]: [usize; 5],
    capacity: usize,
    dtype: DType,
) -> (Tensor<3>, [Tensor<4>; 2]) {
    let device = Device::flex();
    let cache = |seed: u64| tensor([rows, key_values, capacity, width], seed, dtype, &device);
    (tensor([rows, steps, queries * width], 1, dtype, &device), [2, 3].map(cache))
}

/// NaN behind the last position that a row's queries see.
fn spoiled(cache: Tensor<4>, starts: &[usize], steps: usize) -> Tensor<4> {
    let [_, heads, capacity, width] = cache.dims();
    starts.iter().enumerate().fold(cache, |cache, (row, start)| match start + steps < capacity {
        true => cache.slice_fill([row..row + 1, 0..heads, start + steps..capacity, 0..width], f32::NAN),
        false => cache,
    })
}

#[test]
fn attention_to_a_cache_equals_its_reference_and_ignores_what_lies_behind_each_row() {
    let lengths = [(1, 1, 2), (7, 1, 40), (30, 5, 35), (100, 1, 130), (60, 70, 130), (90, 8, 200)];
    for [rows, _, queries, key_values, width] in SIZES {
        for (start, steps, capacity) in lengths {
            // The first row is the longest.
            let starts: Vec<usize> = (0..rows).map(|row| start * (7 - row) / 7).collect();
            for pattern in PATTERNS.map(|choice| pattern(width, choice)) {
                for (dtype, tolerance) in [(DType::F32, 1e-5), (DType::F64, 1e-12)] {
                    let sizes = [rows, steps, queries, key_values, width];
                    let (query, caches) = cached_inputs(sizes, capacity, dtype);
                    let attend = |form: Cached, [keys, stored]: [Tensor<4>; 2]| {
                        values(&form(query.clone(), keys, stored, &starts, pattern))
                    };
                    let expected = attend(reference::cached_attention, caches.clone());
                    let caches = caches.map(|cache| spoiled(cache, &starts, steps));
                    let found = attend(cached_attention, caches.clone());
                    assert_close("attention to a cache", &found, &expected, tolerance);
                    assert_eq!(attend(reference::cached_attention, caches), expected, "no NaN in the reference");
                }
            }
        }
    }
}

type Cached = fn(Tensor<3>, Tensor<4>, Tensor<4>, &[usize], AttentionScores) -> Tensor<3>;

#[test]
fn each_row_attends_as_it_would_alone() {
    let starts = [0, 61, 7, 200, 61];
    for steps in [1, 3, 50] {
        let (query, caches) = cached_inputs([starts.len(), steps, 4, 2, 16], 256, DType::F32);
        let [keys, stored] = caches.map(|cache| spoiled(cache, &starts, steps));
        let scores = scores(16, None);
        let together = cached_attention(query.clone(), keys.clone(), stored.clone(), &starts, scores);
        let by_reference = reference::cached_attention(query.clone(), keys.clone(), stored.clone(), &starts, scores);
        for (row, start) in starts.into_iter().enumerate() {
            let [keys, stored] = [&keys, &stored].map(|cache| cache.clone().narrow(0, row, 1));
            let query = query.clone().narrow(0, row, 1);
            let alone = cached_attention(query.clone(), keys.clone(), stored.clone(), &[start], scores);
            let of_row = |all: &Tensor<3>| values(&all.clone().narrow(0, row, 1));
            assert_eq!(of_row(&together), values(&alone), "{steps} queries from {start}");
            let alone = reference::cached_attention(query, keys, stored, &[start], scores);
            assert_close("the reference's row", &of_row(&by_reference), &values(&alone), 1e-6);
        }
    }
}

#[test]
fn exactly_the_later_keys_and_those_before_a_window_are_hidden() {
    let hidden = |window: Option<usize>| -> Vec<bool> {
        let keys = reference::hidden_keys(&[2, 3, 0, 1], window, [2, 2, 5], &Device::flex());
        keys.to_data().iter::<bool>().collect()
    };
    let row = |first: usize, last: usize| (0..5).map(|key| key < first || key > last).collect::<Vec<bool>>();
    assert_eq!(hidden(None), [row(0, 2), row(0, 3), row(0, 0), row(0, 1)].concat());
    assert_eq!(hidden(Some(2)), [row(1, 2), row(2, 3), row(0, 0), row(0, 1)].concat());
}

#[test]
fn a_window_of_two_mixes_a_value_with_the_one_before_it() {
    let heads = AttentionHeads { queries: 1, key_values: 1, width: 1 };
    // Queries of zero: all keys weigh alike.
    let packed = Tensor::<3>::from_data([[[0.0, 1.0, 2.0], [0.0, 2.0, 4.0], [0.0, 3.0, 9.0]]], &Device::flex());
    let two = pattern(1, (None, Some(2)));
    for form in
        [causal_attention(packed.clone(), heads, two, 0.0, None), reference::causal_attention(packed, heads, two, None)]
    {
        assert_close("means of two", &values(&form), &[2.0, 3.0, 6.5], 1e-6);
    }
}

#[test]
#[should_panic(expected = "a window of attention holds at least one key")]
fn a_window_without_keys_is_refused() {
    let heads = AttentionHeads { queries: 1, key_values: 1, width: 2 };
    causal_attention(Tensor::zeros([1, 2, 6], &Device::flex()), heads, pattern(2, (None, Some(0))), 0.0, None);
}

#[test]
#[should_panic(expected = "4 query heads cannot share 3 key-value heads evenly")]
fn heads_that_do_not_divide_are_refused() {
    let heads = AttentionHeads { queries: 4, key_values: 3, width: 2 };
    causal_attention(Tensor::zeros([1, 2, 20], &Device::flex()), heads, scores(2, None), 0.0, None);
}

#[test]
#[should_panic(expected = "attention needs at least one position")]
fn an_empty_window_is_refused() {
    let heads = AttentionHeads { queries: 1, key_values: 1, width: 2 };
    causal_attention(Tensor::zeros([1, 0, 6], &Device::flex()), heads, scores(2, None), 0.0, None);
}

#[test]
#[should_panic(expected = "positions up to 9 lie beyond a cache of 8")]
fn positions_beyond_the_cache_are_refused() {
    let device = Device::flex();
    let cache = Tensor::zeros([1, 1, 8, 2], &device);
    cached_attention(Tensor::zeros([1, 2, 2], &device), cache.clone(), cache, &[7], scores(2, None));
}

#[test]
#[should_panic(expected = "2 starts do not fit 1 rows")]
fn starts_of_other_rows_are_refused() {
    let device = Device::flex();
    let cache = Tensor::zeros([1, 1, 8, 2], &device);
    cached_attention(Tensor::zeros([1, 2, 2], &device), cache.clone(), cache, &[0, 0], scores(2, None));
}
