//! Products with packed matrices against those with the same numbers in full.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use kiln_packed::{Format, PackedMatrix, Piece};

use super::{
    packed_affine, packed_cached_attention, packed_cross_entropy, packed_gru_sequence, packed_lstm_sequence,
    packed_rnn_sequence, packed_rows, packed_vector_width, packed_vectors,
};
use crate::testing::{assert_close, integers, tensor, values};
use crate::{
    AttentionHeads, AttentionScores, RnnActivation, affine, cached_attention, embedding, gru_sequence, lstm_sequence,
    rnn_sequence,
};

/// The numbers of a matrix, `[out, in]`.
fn full(weight: &PackedMatrix, device: &Device) -> Tensor<2> {
    let mut numbers = Vec::new();
    weight.unpack(0..weight.outputs(), &mut numbers);
    Tensor::from_data(TensorData::new(numbers, [weight.outputs(), weight.inputs()]), device)
}

/// A matrix of two pieces.
fn packed([first, second]: [Format; 2], [outputs, inner]: [usize; 2]) -> PackedMatrix {
    let piece = |format: Format, seed: u64| {
        let numbers: Vec<f32> = crate::cpu::tests::numbers(outputs * inner, seed);
        PackedMatrix::pack(format, inner, &numbers).unwrap().pieces()[0].clone()
    };
    let pieces: Vec<Piece> = vec![piece(first, 1), piece(second, 2)];
    PackedMatrix::join(inner, pieces).unwrap()
}

#[test]
fn a_product_is_that_with_the_numbers_in_full() {
    let device = Device::flex();
    let (f32, f16, bf16, q8) = (Format::F32, Format::F16, Format::Bf16, Format::Q8_0);
    // Whole numbers round their inputs to 8 bits.
    for (formats, tolerance) in [([f32, f32], 1e-6), ([f16, bf16], 1e-6), ([q8, q8], 1e-2), ([f32, q8], 1e-2)] {
        for rows in [1, 2, 5, 8, 9, 40] {
            let weight = packed(formats, [33, 64]);
            let input = tensor([rows, 64], 3, DType::F32, &device);
            let (bias, residual) = (tensor([66], 4, DType::F32, &device), tensor([rows, 66], 5, DType::F32, &device));
            for (bias, residual) in
                [(None, None), (Some(bias.clone()), None), (None, Some(residual.clone())), (Some(bias), Some(residual))]
            {
                let found = packed_affine(input.clone(), &weight, bias.clone(), residual.clone());
                let expected = affine(input.clone(), full(&weight, &device).transpose(), bias, residual);
                assert_close(&format!("{rows} rows of {formats:?}"), &values(&found), &values(&expected), tolerance);
            }
        }
    }
}

#[test]
fn matrices_of_several_panels_and_parts_are_whole() {
    let device = Device::flex();
    let weight = packed([Format::Bf16, Format::Bf16], [1100, 1000]);
    for rows in [1, 3, 20] {
        let input = tensor([rows, 1000], 3, DType::F32, &device);
        let found = packed_affine(input.clone(), &weight, None, None);
        let expected = affine(input, full(&weight, &device).transpose(), None, None);
        assert_close("a large product", &values(&found), &values(&expected), 1e-5);
    }
}

#[test]
fn rows_of_a_table_are_those_of_its_numbers() {
    let device = Device::flex();
    let weight = packed([Format::Q8_0, Format::F32], [5, 32]);
    let indices: Tensor<2, Int> = integers([3, 4], 1, 10, &device);
    let found = packed_rows(&weight, indices.clone());
    assert_eq!(values(&found), values(&embedding(full(&weight, &device), indices)));
}

#[test]
fn recurrent_sequences_are_those_with_parameters() {
    let device = Device::flex();
    for rows in [1, 3] {
        let sequence = |gates: usize| tensor([5, rows, gates * 32], 7, DType::F32, &device);
        let state = |seed: u64| tensor([rows, 32], seed, DType::F32, &device);
        let weight = |gates: usize| {
            let numbers: Vec<f32> = crate::cpu::tests::numbers(gates * 32 * 32, 9);
            PackedMatrix::pack(Format::F32, 32, &numbers).unwrap()
        };
        let close = |what: &str, found: Tensor<3>, expected: Tensor<3>| {
            assert_close(&format!("{what} of {rows} rows"), &values(&found), &values(&expected), 1e-5);
        };
        let packed = weight(4);
        let (found, cell) = packed_lstm_sequence(sequence(4), &packed, state(1), state(2));
        let transposed = full(&packed, &device).transpose();
        let (expected, expected_cell) = lstm_sequence(sequence(4), transposed, state(1), state(2));
        close("LSTM", found, expected);
        assert_close("the last cell", &values(&cell), &values(&expected_cell), 1e-5);
        let (packed, bias) = (weight(3), tensor([32], 3, DType::F32, &device));
        let transposed = full(&packed, &device).transpose();
        let found = packed_gru_sequence(sequence(3), &packed, bias.clone(), state(1));
        close("GRU", found, gru_sequence(sequence(3), transposed, bias, state(1)));
        let packed = weight(1);
        let transposed = full(&packed, &device).transpose();
        for activation in [RnnActivation::Tanh, RnnActivation::Relu] {
            let found = packed_rnn_sequence(sequence(1), &packed, state(1), activation);
            close("RNN", found, rnn_sequence(sequence(1), transposed.clone(), state(1), activation));
        }
    }
}

/// The numbers that packed vectors stand for, by the rule in words: the greatest magnitude of 32 neighbours is 127.
fn rounded(vectors: &[f64], width: usize) -> Vec<f32> {
    let group = |group: &[f32]| {
        let greatest = group.iter().fold(0.0_f32, |greatest, number| greatest.max(number.abs()));
        let whole = |number: &f32| if greatest == 0.0 { 0.0 } else { (number * 127.0 / greatest).round() };
        group.iter().map(|number| whole(number) * (greatest / 127.0)).collect::<Vec<f32>>()
    };
    let vectors: Vec<f32> = vectors.iter().map(|number| *number as f32).collect();
    vectors.chunks(width).flat_map(|vector| vector.chunks(32).flat_map(group).collect::<Vec<f32>>()).collect()
}

#[test]
fn attention_to_packed_vectors_is_that_to_the_numbers_that_they_stand_for() {
    let device = Device::flex();
    // Heads of one group of 32 and part of another, few new tokens and many, rows that start elsewhere, a window.
    for (width, steps, window) in [(40, 1, None), (64, 3, Some(5)), (4, 9, None), (32, 20, Some(7))] {
        let (heads, capacity, starts) = (AttentionHeads { queries: 4, key_values: 2, width }, 32, [11_usize, 3]);
        let shape = [2, heads.key_values, capacity, width];
        let vectors = |seed: u64| tensor(shape, seed, DType::F32, &device);
        let query: Tensor<3> = tensor([2, steps, heads.queries * width], 1, DType::F32, &device);
        let scores = AttentionScores { scale: 0.3, soft_cap: Some(4.0), window };
        let [keys, stored]: [Tensor<4>; 2] = [vectors(2), vectors(3)];
        let packed = [&keys, &stored].map(|vectors| packed_vectors(vectors.clone()));
        assert_eq!(packed[0].dims(), [2, 2, capacity, packed_vector_width(width)]);
        let found = packed_cached_attention(query.clone(), packed, heads, &starts, scores);
        let [keys, stored] = [keys, stored]
            .map(|it| Tensor::<4>::from_data(TensorData::new(rounded(&values(&it), width), shape), &device));
        let expected = cached_attention(query, keys, stored, &starts, scores);
        assert_close("attention", &values(&found), &values(&expected), 1e-5);
    }
    assert_eq!(packed_vector_width(64), 18);
}

/// The gradient of the sum of `output` times fixed factors by `input`.
fn gradient<const D: usize>(output: Tensor<D>, input: &Tensor<2>) -> Vec<f64> {
    let count = output.shape().num_elements();
    let factors: Tensor<1> = tensor([count], 8, DType::F32, &output.device());
    let gradients = (output.reshape([count]) * factors).sum().backward();
    values(&input.grad(&gradients).unwrap())
}

#[test]
fn an_input_has_the_gradient_that_the_numbers_in_full_give_it() {
    let device = Device::flex().autodiff();
    let (f32, f16, q8, q4) = (Format::F32, Format::F16, Format::Q8_0, Format::Q4_0);
    for formats in [[f32, f32], [f16, q8], [q4, q4], [q8, f32]] {
        for rows in [1, 3, 40] {
            let weight = packed(formats, [33, 64]);
            let input = || tensor::<2>([rows, 64], 3, DType::F32, &device).require_grad();
            let (bias, residual) = (tensor([66], 4, DType::F32, &device), tensor([rows, 66], 5, DType::F32, &device));
            let (found, expected) = (input(), input());
            let product = packed_affine(found.clone(), &weight, Some(bias), Some(residual));
            let full = affine(expected.clone(), full(&weight, &device).transpose(), None, None);
            assert_close(
                &format!("{rows} rows of {formats:?}"),
                &gradient(product, &found),
                &gradient(full, &expected),
                1e-5,
            );
        }
    }
    // Several panels are added up.
    let weight = packed([q8, q8], [1100, 512]);
    let input = || tensor::<2>([3, 512], 3, DType::F32, &device).require_grad();
    let (found, expected) = (input(), input());
    let product = packed_affine(found.clone(), &weight, None, None);
    let full = affine(expected.clone(), full(&weight, &device).transpose(), None, None);
    assert_close("panels", &gradient(product, &found), &gradient(full, &expected), 1e-5);
}

#[test]
fn losses_with_a_packed_table_and_their_gradient_are_those_with_the_numbers_in_full() {
    let device = Device::flex().autodiff();
    for (format, tolerance) in [(Format::F32, 1e-5), (Format::F16, 1e-5), (Format::Q8_0, 2e-2)] {
        for (rows, bias) in [(1, false), (40, true)] {
            let weight = packed([format, format], [33, 64]);
            let input = || tensor::<2>([rows, 64], 3, DType::F32, &device).require_grad();
            let bias = bias.then(|| tensor::<1>([66], 4, DType::F32, &device));
            let targets = integers([rows], 7, 66, &device);
            let (found, expected) = (input(), input());
            let losses = packed_cross_entropy(found.clone(), &weight, bias.clone(), targets.clone());
            let table = full(&weight, &device).transpose();
            let full = crate::projected_cross_entropy(expected.clone(), table, bias.clone(), targets.clone());
            let what = format!("{rows} rows of {format:?}");
            assert_close(&what, &values(&losses), &values(&full), tolerance);
            let without = packed_cross_entropy(
                found.clone().inner(),
                &weight,
                bias.map(Tensor::inner),
                integers([rows], 7, 66, &Device::flex()),
            );
            assert!(values(&without) == values(&losses), "{what}");
            assert_close(&what, &gradient(losses, &found), &gradient(full, &expected), tolerance);
        }
    }
}

#[test]
fn the_gradient_is_the_slope_of_difference_quotients() {
    let device = Device::flex();
    // Whole numbers round their inputs, so that their products are steps.
    let weight = packed([Format::F16, Format::Bf16], [9, 8]);
    let targets = || integers([2], 7, 18, &device);
    let at = |input: &[f32]| {
        let hidden = Tensor::from_data(TensorData::new(input.to_vec(), [2, 8]), &device);
        let losses = values(&packed_cross_entropy(hidden, &weight, None, targets()));
        losses[0] * 0.75 - losses[1] * 0.5
    };
    let input: Vec<f32> = crate::cpu::tests::numbers(16, 3);
    let autodiff = device.clone().autodiff();
    let hidden = Tensor::<2>::from_data(TensorData::new(input.clone(), [2, 8]), &autodiff).require_grad();
    let losses = packed_cross_entropy(hidden.clone(), &weight, None, integers([2], 7, 18, &autodiff));
    let gradients = (losses * Tensor::from_data([0.75_f32, -0.5], &autodiff)).sum().backward();
    let slopes: Vec<f64> = values(&hidden.grad(&gradients).unwrap());
    for (place, slope) in slopes.into_iter().enumerate() {
        let moved = |by: f32| {
            let mut input = input.clone();
            input[place] += by;
            at(&input)
        };
        let quotient = (moved(0.01) - moved(-0.01)) / 0.02;
        assert!((quotient - slope).abs() < 1e-3, "{place}: {quotient} {slope}");
    }
}
