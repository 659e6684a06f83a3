//! Fused operations at random shapes: forward and backward as their references, in both types of numbers.

use burn::tensor::{DType, Device, Tensor};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use crate::testing::{assert_close, assert_equals_reference, integers, tensor, values};
use crate::{Activation, AttentionHeads, AttentionScores, RnnActivation, reference};

/// The same shapes in every run, so that a failure comes back; `PROPTEST_RNG_SEED` and `PROPTEST_CASES` try others and
/// more.
fn cases() -> ProptestConfig {
    let usual =
        ProptestConfig { cases: 200, rng_seed: RngSeed::Fixed(2026), failure_persistence: None, ..Default::default() };
    let is_set = |variable| std::env::var_os(variable).is_some();
    let given = ProptestConfig::default();
    ProptestConfig {
        cases: if is_set("PROPTEST_CASES") { given.cases } else { usual.cases },
        rng_seed: if is_set("PROPTEST_RNG_SEED") { given.rng_seed } else { usual.rng_seed },
        ..usual
    }
}

/// Sizes that are 1 as often as they are around the edges of tiles and vectors, or anything up to `most`.
fn size(most: usize) -> impl Strategy<Value = usize> {
    let edges: Vec<usize> = [8, 16, 32, 48, 64].iter().flat_map(|edge| [edge - 1, *edge, edge + 1]).collect();
    let edges: Vec<usize> = edges.into_iter().filter(|edge| *edge <= most).chain([2]).collect();
    prop_oneof![1 => Just(1), 1 => prop::sample::select(edges), 2 => 1..=most]
}

type Parts<'a> = (Tensor<2>, Tensor<2>, Option<Tensor<1>>, &'a [Tensor<1>]);

/// A matrix, a weight, a bias that may be missing, and what is left.
fn parts<'a>(inputs: &'a [Tensor<1>], [rows, inner, width]: [usize; 3], bias: bool) -> Parts<'a> {
    let (input, weight) = (inputs[0].clone().reshape([rows, inner]), inputs[1].clone().reshape([inner, width]));
    (input, weight, bias.then(|| inputs[2].clone()), &inputs[3..])
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn affine(rows in size(140), inner in size(90), width in size(90), bias: bool, residual: bool) {
        let shape = [rows, inner, width];
        let form = |form: fn(Tensor<2>, Tensor<2>, Option<Tensor<1>>, Option<Tensor<2>>) -> Tensor<2>| {
            move |inputs: &[Tensor<1>]| {
                let (input, weight, bias, rest) = parts(inputs, shape, bias);
                let residual = residual.then(|| rest[0].clone().reshape([rows, width]));
                form(input, weight, bias, residual).reshape([rows * width])
            }
        };
        let lengths = [rows * inner, inner * width, width, rows * width];
        let what = format!("affine of {shape:?}, bias {bias}, residual {residual}");
        assert_equals_reference(&what, &lengths, &form(crate::affine), &form(reference::affine));
    }

    // A row of one or two numbers has a gradient of nearly zero, so there is nothing to compare.
    #[test]
    fn norms(rows in size(200), width in size(140).prop_map(|width| width + 2), bias: bool, layer: bool) {
        let lengths = [rows * width, width, width];
        let matrix = |inputs: &[Tensor<1>]| inputs[0].clone().reshape([rows, width]);
        if layer {
            let form = |form: fn(Tensor<2>, Tensor<1>, Option<Tensor<1>>, f64) -> Tensor<2>| {
                move |inputs: &[Tensor<1>]| {
                    let bias = bias.then(|| inputs[2].clone());
                    form(matrix(inputs), inputs[1].clone(), bias, 1e-5).reshape([rows * width])
                }
            };
            let what = format!("layer norm of {rows} x {width}, bias {bias}");
            assert_equals_reference(&what, &lengths, &form(crate::layer_norm), &form(reference::layer_norm));
        } else {
            let form = |form: fn(Tensor<2>, Tensor<1>, f64) -> Tensor<2>| {
                move |inputs: &[Tensor<1>]| form(matrix(inputs), inputs[1].clone(), 1e-5).reshape([rows * width])
            };
            let what = format!("RMS norm of {rows} x {width}");
            assert_equals_reference(&what, &lengths, &form(crate::rms_norm), &form(reference::rms_norm));
        }
    }

    #[test]
    fn attention(
        rows in 1..4_usize,
        steps in size(150),
        key_values in 1..4_usize,
        sharing in 1..4_usize,
        width in size(40),
        soft_cap in prop::option::of(0.5..5.0),
        window in prop::option::of(1..200_usize),
    ) {
        let heads = AttentionHeads { queries: key_values * sharing, key_values, width };
        let (columns, length) = (heads.packed_columns(), rows * steps * heads.queries * width);
        let scores = AttentionScores { scale: 2.0 * (width as f64).powf(-0.5), soft_cap, window };
        let packed = |inputs: &[Tensor<1>]| inputs[0].clone().reshape([rows, steps, columns]);
        let fused =
            |inputs: &[Tensor<1>]| crate::causal_attention(packed(inputs), heads, scores, 0.0, None).reshape([length]);
        let expected =
            |inputs: &[Tensor<1>]| reference::causal_attention(packed(inputs), heads, scores, None).reshape([length]);
        let what = format!("attention of {rows} x {steps} over {heads:?}, {scores:?}");
        assert_equals_reference(&what, &[rows * steps * columns], &fused, &expected);
    }

    // With one logit the loss is 0 and so is its gradient.
    #[test]
    fn cross_entropies(
        rows in size(140),
        inner in size(40),
        vocabulary in size(300).prop_map(|size| size + 1),
        bias: bool,
    ) {
        let targets = integers([rows], rows as u64, vocabulary, &Device::flex());
        let shape = [rows, inner, vocabulary];
        let form = |form: fn(Tensor<2>, Tensor<1, burn::tensor::Int>) -> Tensor<1>| {
            let targets = targets.clone();
            move |inputs: &[Tensor<1>]| form((inputs[0].clone() * 2.0).reshape([rows, vocabulary]), targets.clone())
        };
        let what = format!("cross-entropy of {rows} x {vocabulary}");
        let (fused, expected) = (form(crate::cross_entropy), form(reference::cross_entropy));
        assert_equals_reference(&what, &[rows * vocabulary], &fused, &expected);
        type Projected = fn(Tensor<2>, Tensor<2>, Option<Tensor<1>>, Tensor<1, burn::tensor::Int>) -> Tensor<1>;
        let form = |form: Projected| {
            let targets = targets.clone();
            move |inputs: &[Tensor<1>]| {
                let (hidden, weight, bias, _) = parts(inputs, shape, bias);
                // Where a probability is next to 1, so little is left of p - 1 that rounding is all of it.
                form(hidden, weight * (inner as f64).powf(-0.5), bias, targets.clone())
            }
        };
        let what = format!("projected cross-entropy of {shape:?}, bias {bias}");
        let lengths = [rows * inner, inner * vocabulary, vocabulary];
        let (fused, expected) = (form(crate::projected_cross_entropy), form(reference::projected_cross_entropy));
        assert_equals_reference(&what, &lengths, &fused, &expected);
    }

    #[test]
    fn activations(rows in size(140), width in size(90), which in 0..4_usize) {
        type Form = Box<dyn Fn(&[Tensor<1>]) -> Tensor<1>>;
        let activation = [Activation::Gelu, Activation::GeluTanh, Activation::ReluSquared].get(which).copied();
        let form = |activate: fn(Tensor<2>, Activation) -> Tensor<2>, swiglu: fn(Tensor<2>) -> Tensor<2>| -> Form {
            Box::new(move |inputs| {
                let input = inputs[0].clone() * 4.0;
                let output = match activation {
                    Some(activation) => activate(input.reshape([rows, 2 * width]), activation),
                    None => swiglu(input.reshape([rows, 2 * width])),
                };
                let length = output.shape().num_elements();
                output.reshape([length])
            })
        };
        let what = format!("{activation:?} (nothing is SwiGLU) of {rows} x {width}");
        let (fused, expected) = (form(crate::activate, crate::swiglu), form(reference::activate, reference::swiglu));
        assert_equals_reference(&what, &[rows * 2 * width], &fused, &expected);
    }

    #[test]
    fn embedding(height in size(140), width in size(90), outer in size(20), inner in size(40)) {
        let indices = integers([outer, inner], 3, height, &Device::flex());
        let form = |form: fn(Tensor<2>, Tensor<2, burn::tensor::Int>) -> Tensor<3>| {
            let indices = indices.clone();
            move |inputs: &[Tensor<1>]| {
                form(inputs[0].clone().reshape([height, width]), indices.clone()).reshape([outer * inner * width])
            }
        };
        let what = format!("embedding of {height} x {width}, {outer} x {inner} indices");
        assert_equals_reference(&what, &[height * width], &form(crate::embedding), &form(reference::embedding));
    }

    #[test]
    fn rotation(
        rows in 1..4_usize,
        steps in size(70),
        key_values in 1..4_usize,
        sharing in 1..4_usize,
        half in size(34),
        starts in prop::collection::vec(0..9_usize, 4),
    ) {
        type Rotate = fn(Tensor<3>, AttentionHeads, [Tensor<2>; 2], &[usize]) -> Tensor<3>;
        let heads = AttentionHeads { queries: key_values * sharing, key_values, width: 2 * half };
        let (columns, context, starts) = (heads.packed_columns(), 9 + steps, &starts[..rows]);
        let form = |form: Rotate| {
            move |inputs: &[Tensor<1>]| {
                let like = &inputs[0];
                let tables = [5, 6].map(|seed| tensor([context, half], seed, like.dtype(), &like.device()));
                let packed = like.clone().reshape([rows, steps, columns]);
                form(packed, heads, tables, starts).reshape([rows * steps * columns])
            }
        };
        let what = format!("rotation of {rows} x {steps} over {heads:?} from {starts:?}");
        assert_equals_reference(&what, &[rows * steps * columns], &form(crate::rotate), &form(reference::rotate));
    }

    #[test]
    fn cached_attention(
        rows in 1..4_usize,
        steps in size(20),
        starts in prop::collection::vec(0..60_usize, 4),
        key_values in 1..4_usize,
        sharing in 1..4_usize,
        width in size(40),
        soft_cap in prop::option::of(0.5..5.0),
        window in prop::option::of(1..100_usize),
    ) {
        let (heads, capacity, starts) = (key_values * sharing, 60 + steps, &starts[..rows]);
        let scores = AttentionScores { scale: 2.0 * (width as f64).powf(-0.5), soft_cap, window };
        for (dtype, tolerance) in [(DType::F32, 1e-5), (DType::F64, 1e-10)] {
            let device = Device::flex();
            let query = tensor([rows, steps, heads * width], 0, dtype, &device);
            let [keys, stored] = [1, 2].map(|seed| tensor([rows, key_values, capacity, width], seed, dtype, &device));
            let found = crate::cached_attention(query.clone(), keys.clone(), stored.clone(), starts, scores);
            let expected = reference::cached_attention(query, keys, stored, starts, scores);
            let sizes = format!("{rows} x {steps} from {starts:?}, {heads} heads of {width}");
            let what = format!("cached attention of {sizes}, {scores:?}");
            assert_close(&what, &values(&found), &values(&expected), tolerance);
        }
    }

    #[test]
    fn rnn_and_gru(steps in size(20), rows in size(40), width in size(40), relu: bool) {
        let states = steps * rows * width;
        let weight = |inputs: &[Tensor<1>], gates: usize| {
            (inputs[1].clone() * (width as f64).powf(-0.5)).reshape([width, gates * width])
        };
        let activation = if relu { RnnActivation::Relu } else { RnnActivation::Tanh };
        let form = |form: fn(Tensor<3>, Tensor<2>, Tensor<2>, RnnActivation) -> Tensor<3>| {
            move |inputs: &[Tensor<1>]| {
                let (projected, hidden) = (inputs[0].clone().reshape([steps, rows, width]), inputs[2].clone());
                form(projected, weight(inputs, 1), hidden.reshape([rows, width]), activation).reshape([states])
            }
        };
        let what = format!("RNN of {steps} x {rows} x {width}, {activation:?}");
        let lengths = [states, width * width, rows * width];
        assert_equals_reference(&what, &lengths, &form(crate::rnn_sequence), &form(reference::rnn_sequence));
        let form = |form: fn(Tensor<3>, Tensor<2>, Tensor<1>, Tensor<2>) -> Tensor<3>| {
            move |inputs: &[Tensor<1>]| {
                let (projected, bias) = (inputs[0].clone().reshape([steps, rows, 3 * width]), inputs[2].clone());
                let hidden = inputs[3].clone().reshape([rows, width]);
                form(projected, weight(inputs, 3), bias, hidden).reshape([states])
            }
        };
        let what = format!("GRU of {steps} x {rows} x {width}");
        let lengths = [3 * states, 3 * width * width, width, rows * width];
        assert_equals_reference(&what, &lengths, &form(crate::gru_sequence), &form(reference::gru_sequence));
    }

    #[test]
    fn lstm(steps in size(20), rows in size(40), width in size(40)) {
        type Lstm = fn(Tensor<3>, Tensor<2>, Tensor<2>, Tensor<2>) -> (Tensor<3>, Tensor<2>);
        let form = |form: Lstm| {
            move |inputs: &[Tensor<1>]| {
                let projected = inputs[0].clone().reshape([steps, rows, 4 * width]);
                // As weights are drawn: larger ones make a chaotic network, which turns rounding into differences.
                let weight = (inputs[1].clone() * (width as f64).powf(-0.5)).reshape([width, 4 * width]);
                let [hidden, cell] = [2, 3].map(|index: usize| inputs[index].clone().reshape([rows, width]));
                let (outputs, cell) = form(projected, weight, hidden, cell);
                Tensor::cat(vec![outputs.reshape([steps * rows * width]), cell.reshape([rows * width])], 0)
            }
        };
        let what = format!("LSTM of {steps} x {rows} x {width}");
        let lengths = [steps * rows * 4 * width, 4 * width * width, rows * width, rows * width];
        assert_equals_reference(&what, &lengths, &form(crate::lstm_sequence), &form(reference::lstm_sequence));
    }
}
