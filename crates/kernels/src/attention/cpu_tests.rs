use super::cached_cpu::{Plain, cached_attention};
use super::cpu::attention;
use super::cpu_backward::{AttentionResult, attention_backward};
use super::geometry::{AttentionHeads, AttentionOptions, AttentionScores, AttentionSizes, CacheSizes};
use crate::cpu::Real;
use crate::cpu::philox::{Dropout, philox};
use crate::cpu::tests::numbers;

/// `[T, D]` of one head of packed rows.
fn head(packed: &[f64], sizes: &AttentionSizes, row: usize, head: usize) -> Vec<f64> {
    let (columns, width) = (sizes.heads.packed_columns(), sizes.heads.width);
    let token = |step: usize| &packed[(row * sizes.steps + step) * columns + head * width..][..width];
    (0..sizes.steps).flat_map(token).copied().collect()
}

const SEED: u64 = 0xFEDC_BA98_7654_3210;
const SITE: u32 = 9;
const PROBABILITY: f64 = 0.25;

fn kept(matrix: usize, query: usize, key: usize) -> f64 {
    let random =
        philox([key as u32 / 4, query as u32, matrix as u32, SITE], [SEED as u32, (SEED >> 32) as u32])[key % 4];
    if random >= 1 << 30 { 1.0 / (1.0 - PROBABILITY) } else { 0.0 }
}

/// The definition, with all weights in memory: output and log-sum-exp.
fn defined(packed: &[f64], sizes: &AttentionSizes, options: &AttentionOptions) -> [Vec<f64>; 2] {
    let AttentionSizes { batch, steps, heads } = *sizes;
    let (group, AttentionHeads { queries: heads, key_values: shared, width }) = (heads.group(), heads);
    let mut output = vec![0.0; batch * steps * heads * width];
    let mut log_sum_exp = Vec::new();
    for matrix in 0..batch * heads {
        let (row, number) = (matrix / heads, matrix % heads);
        let queries = head(packed, sizes, row, number);
        let keys = head(packed, sizes, row, heads + number / group);
        let values = head(packed, sizes, row, heads + shared + number / group);
        for query in 0..steps {
            let score = |key: usize| {
                let product: f64 =
                    (0..width).map(|index| queries[query * width + index] * keys[key * width + index]).sum();
                let score = product * options.scores.scale;
                options.scores.soft_cap.map_or(score, |cap| cap * (score / cap).tanh())
            };
            let first = options.scores.window.map_or(0, |window| (query + 1).saturating_sub(window));
            let weight = |key: usize| if key < first { 0.0 } else { score(key).exp() };
            let weights: Vec<f64> = (0..=query).map(weight).collect();
            let sum: f64 = weights.iter().sum();
            log_sum_exp.push(sum.ln());
            for (key, weight) in weights.iter().enumerate() {
                let factor = if options.dropout.is_some() { kept(matrix, query, key) } else { 1.0 };
                for index in 0..width {
                    output[((row * steps + query) * heads + number) * width + index] +=
                        factor * weight / sum * values[key * width + index];
                }
            }
        }
    }
    [output, log_sum_exp]
}

pub(super) fn computed<T: Real>(packed: &[T], sizes: &AttentionSizes, options: &AttentionOptions) -> [Vec<T>; 2] {
    let tokens = sizes.batch * sizes.steps;
    let mut output = vec![T::from_f64(f64::NAN); tokens * sizes.heads.output_columns()];
    let mut log_sum_exp = vec![T::from_f64(f64::NAN); tokens * sizes.heads.queries];
    attention(packed, sizes, options, &mut output, &mut log_sum_exp);
    [output, log_sum_exp]
}

pub(super) fn sizes([batch, steps, queries, key_values, width]: [usize; 5]) -> AttentionSizes {
    AttentionSizes { batch, steps, heads: AttentionHeads { queries, key_values, width } }
}

pub(super) fn variants() -> [AttentionOptions; 8] {
    let dropout = Some(Dropout::new(PROBABILITY, SEED, SITE));
    let with = |soft_cap, window, dropout| AttentionOptions {
        scores: AttentionScores { scale: 1.7, soft_cap, window },
        dropout,
    };
    [
        with(None, None, None),
        with(Some(1.5), None, None),
        // Shorter than a tile of queries, and longer than a block of keys.
        with(None, Some(5), None),
        with(Some(1.5), Some(270), None),
        with(None, None, dropout),
        with(Some(1.5), None, dropout),
        with(None, Some(1), dropout),
        with(None, Some(90), dropout),
    ]
}

pub(super) fn largest_difference<T: Real>(found: &[T], expected: &[T]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let differences = found.iter().zip(expected).map(|(found, expected)| (found.to_f64() - expected.to_f64()).abs());
    // A NaN counts as the largest of all.
    differences.fold(0.0, |largest, next| if next <= largest { largest } else { next })
}

pub(super) const SHAPES: [[usize; 5]; 8] = [
    [1, 1, 1, 1, 1],
    [2, 2, 2, 1, 3],
    [3, 63, 3, 3, 8],
    [1, 65, 4, 2, 8],
    [2, 130, 4, 4, 3],
    [5, 130, 2, 1, 1],
    [1, 300, 3, 1, 8],
    [1, 600, 2, 2, 5],
];

#[test]
fn agrees_with_its_definition() {
    for shape in SHAPES {
        let sizes = sizes(shape);
        let packed = numbers::<f64>(sizes.batch * sizes.steps * sizes.heads.packed_columns(), 1);
        for options in variants() {
            let expected = defined(&packed, &sizes, &options);
            let found = computed(&packed, &sizes, &options);
            for (found, expected) in found.iter().zip(&expected) {
                let difference = largest_difference(found, expected);
                assert!(difference < 1e-12, "{sizes:?} {options:?}: {difference}");
            }
        }
    }
}

/// The gradient of sum(weights * output).
fn gradient<T: Real>(packed: &[T], weights: &[T], sizes: &AttentionSizes, options: &AttentionOptions) -> Vec<T> {
    let [output, log_sum_exp] = computed(packed, sizes, options);
    let result = AttentionResult { packed, output: &output, log_sum_exp: &log_sum_exp, output_gradient: weights };
    let mut gradient = vec![T::from_f64(f64::NAN); packed.len()];
    attention_backward(&result, sizes, options, &mut gradient);
    gradient
}

#[test]
fn gradient_agrees_with_finite_differences() {
    for shape in SHAPES {
        let sizes = sizes(shape);
        let packed = numbers::<f64>(sizes.batch * sizes.steps * sizes.heads.packed_columns(), 2);
        let weights = numbers::<f64>(sizes.batch * sizes.steps * sizes.heads.output_columns(), 3);
        for options in variants() {
            let found = gradient(&packed, &weights, &sizes, &options);
            let value = |packed: &[f64]| -> f64 {
                computed(packed, &sizes, &options)[0].iter().zip(&weights).map(|(output, weight)| output * weight).sum()
            };
            // A prime step visits all kinds of columns.
            for index in (0..packed.len()).step_by(packed.len() / 40 + 1) {
                let at = |difference: f64| {
                    let mut changed = packed.clone();
                    changed[index] += difference;
                    value(&changed)
                };
                let step = 1e-4;
                let slope = |step: f64| (at(step) - at(-step)) / (2.0 * step);
                // Richardson's extrapolation removes the error of second order.
                let expected = (4.0 * slope(step / 2.0) - slope(step)) / 3.0;
                let error = (found[index] - expected).abs();
                assert!(error <= 1e-6 * expected.abs() + 1e-9, "{sizes:?} {options:?}: {} {expected}", found[index]);
            }
        }
    }
}

#[test]
fn single_precision_agrees_with_double() {
    for shape in [[2, 130, 4, 2, 8], [1, 300, 2, 2, 32]] {
        let sizes = sizes(shape);
        let packed = numbers::<f32>(sizes.batch * sizes.steps * sizes.heads.packed_columns(), 4);
        let weights = numbers::<f32>(sizes.batch * sizes.steps * sizes.heads.output_columns(), 5);
        let wide = |numbers: &[f32]| numbers.iter().copied().map(f64::from).collect::<Vec<f64>>();
        let close = |name: &str, found: &[f32], expected: &[f64]| {
            let largest = expected.iter().fold(0.0f64, |largest, next| largest.max(next.abs()));
            let difference = largest_difference(&wide(found), expected);
            assert!(difference <= 1e-5 * largest, "{name} {sizes:?}: {difference} of {largest}");
        };
        for options in variants() {
            let (found, expected) = (computed(&packed, &sizes, &options), computed(&wide(&packed), &sizes, &options));
            close("output", &found[0], &expected[0]);
            close("log-sum-exp", &found[1], &expected[1]);
            let found = gradient(&packed, &weights, &sizes, &options);
            close("gradient", &found, &gradient(&wide(&packed), &wide(&weights), &sizes, &options));
        }
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    for shape in [[1, 300, 4, 2, 32], [3, 300, 4, 4, 16], [8, 65, 2, 1, 32]] {
        let sizes = sizes(shape);
        let packed = numbers::<f32>(sizes.batch * sizes.steps * sizes.heads.packed_columns(), 6);
        let weights = numbers::<f32>(sizes.batch * sizes.steps * sizes.heads.output_columns(), 7);
        let options = variants()[5];
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            let all = || (computed(&packed, &sizes, &options), gradient(&packed, &weights, &sizes, &options));
            pool.install(all)
        };
        let bits = |numbers: &[f32]| numbers.iter().map(|number| number.to_bits()).collect::<Vec<u32>>();
        let ([output, sums], gradient) = with(1);
        for threads in [2, 3, 16] {
            let ([other_output, other_sums], other_gradient) = with(threads);
            assert_eq!(bits(&output), bits(&other_output), "{sizes:?}, {threads} threads");
            assert_eq!(bits(&sums), bits(&other_sums), "{sizes:?}, {threads} threads");
            assert_eq!(bits(&gradient), bits(&other_gradient), "{sizes:?}, {threads} threads");
        }
    }
}

/// The cached keys or values `[B, key-value heads, capacity, D]` of packed rows, with NaN behind the filled part.
fn cache(packed: &[f64], sizes: &AttentionSizes, first_head: usize, capacity: usize) -> Vec<f64> {
    let mut cache = Vec::new();
    for row in 0..sizes.batch {
        for shared in 0..sizes.heads.key_values {
            cache.extend(head(packed, sizes, row, first_head + shared));
            cache.resize(cache.len() + (capacity - sizes.steps) * sizes.heads.width, f64::NAN);
        }
    }
    cache
}

#[test]
fn cached_attention_gives_the_last_rows() {
    for shape in SHAPES.into_iter().chain([[2, 150, 4, 2, 150], [1, 70, 2, 1, 16], [1, 129, 6, 2, 83]]) {
        let sizes = sizes(shape);
        let AttentionSizes { batch, steps, heads } = sizes;
        let packed = numbers::<f64>(batch * steps * sizes.heads.packed_columns(), 8);
        let capacity = steps + 5;
        let keys = cache(&packed, &sizes, heads.queries, capacity);
        let values = cache(&packed, &sizes, heads.queries + heads.key_values, capacity);
        for options in &variants()[..4] {
            let [all, _] = computed(&packed, &sizes, options);
            let last = |numbers: &[f64], columns: usize, count: usize| -> Vec<f64> {
                let rows = numbers.chunks(steps * columns);
                rows.flat_map(|row| &row[(steps - count) * columns..]).copied().collect()
            };
            for count in [1, 2, 7, 8, 50, 200].map(|count| steps.min(count)) {
                let queries = last(&packed, heads.packed_columns(), count);
                let queries: Vec<f64> = queries
                    .chunks(heads.packed_columns())
                    .flat_map(|token| &token[..heads.output_columns()])
                    .copied()
                    .collect();
                let cache_sizes = CacheSizes { steps: count, starts: &vec![steps - count; batch], capacity, heads };
                let mut output = vec![f64::NAN; batch * count * sizes.heads.output_columns()];
                let cache = [&keys, &values].map(|vectors| Plain(&vectors[..], sizes.heads.width));
                cached_attention(&queries, cache, &cache_sizes, options.scores, &mut output);
                let difference = largest_difference(&output, &last(&all, sizes.heads.output_columns(), count));
                assert!(difference < 1e-13, "{cache_sizes:?} {options:?}: {difference}");
            }
        }
    }
}
