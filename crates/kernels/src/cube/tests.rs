//! The bodies on whatever adapter is here, through Burn's fusion if this build has it. They are ignored by default,
//! since the SPIR-V of the default build crashes software adapters; on a machine with a GPU:
//!
//! ```text
//! cargo test --release --workspace --lib on_an_adapter -- --ignored
//! ```
//!
//! Without one, a software adapter under OpenGL does, which Burn takes when it finds no Vulkan driver: with
//! `VK_DRIVER_FILES=/nonexistent VK_ICD_FILENAMES=/nonexistent` before the command.

use burn::tensor::{DType, Device, DeviceKind, Int, Tensor};

use crate::testing::{Function, assert_close, evaluate, integers, tensor};
use crate::{AttentionHeads, AttentionScores, RnnActivation};

/// The same function on the CPU and on the adapter, with operations before and after it that Burn may fuse.
fn assert_equals_cpu(what: &str, lengths: &[usize], function: impl Fn(&[Tensor<1>], &Device) -> Tensor<1>) {
    let sides = [Device::flex(), Device::wgpu(DeviceKind::DefaultDevice)].map(|device| {
        let tracked = device.clone().autodiff();
        let inputs: Vec<_> =
            (0u64..).zip(lengths).map(|(seed, length)| tensor([*length], seed, DType::F32, &tracked)).collect();
        let form: Function<'_> = &|inputs: &[Tensor<1>]| {
            let inputs: Vec<_> = inputs.iter().map(|input| input.clone() * 1.5 + 0.25).collect();
            function(&inputs, &device) * 0.5 + 1.0
        };
        evaluate(form, &inputs)
    });
    let [(expected, expected_gradients), (output, gradients)] = sides;
    assert_close(what, &output, &expected, 1e-5);
    for (gradient, expected) in gradients.iter().zip(&expected_gradients) {
        assert_close(&format!("gradient of {what}"), gradient, expected, 1e-5);
    }
}

#[test]
#[ignore = "needs an adapter"]
fn norms_equal_those_of_the_cpu_on_an_adapter() {
    for [rows, width] in [[3, 65], [130, 33], [65, 384]] {
        let matrix = move |inputs: &[Tensor<1>]| inputs[0].clone().reshape([rows, width]);
        let lengths = [rows * width, width, width];
        assert_equals_cpu("biased layer norm", &lengths, |inputs, _| {
            crate::layer_norm(matrix(inputs), inputs[1].clone(), Some(inputs[2].clone()), 1e-5).reshape([rows * width])
        });
        assert_equals_cpu("layer norm", &lengths[..2], |inputs, _| {
            crate::layer_norm(matrix(inputs), inputs[1].clone(), None, 1e-5).reshape([rows * width])
        });
        assert_equals_cpu("RMS norm", &lengths[..2], |inputs, _| {
            crate::rms_norm(matrix(inputs), inputs[1].clone(), 1e-5).reshape([rows * width])
        });
    }
}

#[test]
#[ignore = "needs an adapter"]
fn cross_entropy_equals_that_of_the_cpu_on_an_adapter() {
    for [rows, vocabulary] in [[1, 2], [3, 65], [130, 33], [5, 5000]] {
        assert_equals_cpu("cross-entropy", &[rows * vocabulary], |inputs, device| {
            let targets: Tensor<1, Int> = integers([rows], 5, vocabulary, device);
            crate::cross_entropy(inputs[0].clone().reshape([rows, vocabulary]), targets)
        });
    }
}

#[test]
#[ignore = "needs an adapter"]
fn embedding_equals_that_of_the_cpu_on_an_adapter() {
    for [height, width, outer, inner] in [[7, 3, 2, 5], [65, 128, 12, 64], [9, 300, 50, 307]] {
        assert_equals_cpu("embedding", &[height * width], |inputs, device| {
            let indices: Tensor<2, Int> = integers([outer, inner], 3, height, device);
            crate::embedding(inputs[0].clone().reshape([height, width]), indices).reshape([outer * inner * width])
        });
    }
}

#[test]
#[ignore = "needs an adapter"]
fn attention_equals_that_of_the_cpu_on_an_adapter() {
    let sizes = [[3, 65, 4, 2, 5], [2, 130, 3, 3, 16], [1, 70, 2, 1, 64]];
    // A window is the composition's, unless it hides nothing.
    for ([rows, steps, queries, key_values, width], window) in
        sizes.into_iter().flat_map(|sizes| [None, Some(20), Some(200)].map(|window| (sizes, window)))
    {
        let heads = AttentionHeads { queries, key_values, width };
        let scores = AttentionScores { scale: (width as f64).powf(-0.5), soft_cap: None, window };
        let columns = heads.packed_columns();
        assert_equals_cpu("attention", &[rows * steps * columns], |inputs, _| {
            let packed = inputs[0].clone().reshape([rows, steps, columns]);
            crate::causal_attention(packed, heads, scores, 0.0, None).reshape([rows * steps * queries * width])
        });
    }
}

#[test]
#[ignore = "needs an adapter"]
fn affine_equals_that_of_the_cpu_on_an_adapter() {
    for ([rows, inner, width], folds_in) in [([130, 36, 260], true), ([300, 128, 65], false), ([1, 7, 5], true)] {
        let lengths = [rows * inner, inner * width, width, rows * width];
        assert_equals_cpu("affine", &lengths[..if folds_in { 4 } else { 2 }], |inputs, _| {
            let (input, weight) = (inputs[0].clone().reshape([rows, inner]), inputs[1].clone().reshape([inner, width]));
            let bias = folds_in.then(|| inputs[2].clone());
            let residual = folds_in.then(|| inputs[3].clone().reshape([rows, width]));
            crate::affine(input, weight, bias, residual).reshape([rows * width])
        });
    }
}

/// Steps, rows and width of recurrent sequences: with and without fours, one row and tile after tile, one step.
const SEQUENCES: [[usize; 3]; 7] = [[1, 1, 1], [1, 3, 5], [7, 1, 3], [5, 2, 17], [6, 9, 32], [3, 70, 40], [2, 20, 132]];

#[test]
#[ignore = "needs an adapter"]
fn lstm_equals_that_of_the_cpu_on_an_adapter() {
    for ([steps, rows, width], with_cell) in SEQUENCES.into_iter().flat_map(|sizes| [(sizes, false), (sizes, true)]) {
        let lengths = [steps * rows * 4 * width, 4 * width * width, rows * width, rows * width];
        assert_equals_cpu(&format!("LSTM of {steps} x {rows} x {width}"), &lengths, |inputs, _| {
            let projected = inputs[0].clone().reshape([steps, rows, 4 * width]);
            let weight = (inputs[1].clone() * (width as f64).powf(-0.5)).reshape([width, 4 * width]);
            let [hidden, cell] = [2, 3].map(|index: usize| inputs[index].clone().reshape([rows, width]));
            let (outputs, cell) = crate::lstm_sequence(projected, weight, hidden, cell);
            let outputs = outputs.reshape([steps * rows * width]);
            if with_cell { Tensor::cat(vec![outputs, cell.reshape([rows * width])], 0) } else { outputs }
        });
    }
}

#[test]
#[ignore = "needs an adapter"]
fn gru_equals_that_of_the_cpu_on_an_adapter() {
    for [steps, rows, width] in SEQUENCES {
        let lengths = [steps * rows * 3 * width, 3 * width * width, width, rows * width];
        assert_equals_cpu(&format!("GRU of {steps} x {rows} x {width}"), &lengths, |inputs, _| {
            let projected = inputs[0].clone().reshape([steps, rows, 3 * width]);
            let weight = (inputs[1].clone() * (width as f64).powf(-0.5)).reshape([width, 3 * width]);
            let hidden = inputs[3].clone().reshape([rows, width]);
            crate::gru_sequence(projected, weight, inputs[2].clone(), hidden).reshape([steps * rows * width])
        });
    }
}

#[test]
#[ignore = "needs an adapter"]
fn rnn_equals_that_of_the_cpu_on_an_adapter() {
    let activations = [RnnActivation::Tanh, RnnActivation::Relu];
    for ([steps, rows, width], activation) in SEQUENCES.into_iter().flat_map(|sizes| activations.map(|a| (sizes, a))) {
        let lengths = [steps * rows * width, width * width, rows * width];
        assert_equals_cpu(&format!("{activation:?} of {steps} x {rows} x {width}"), &lengths, |inputs, _| {
            let projected = inputs[0].clone().reshape([steps, rows, width]);
            let weight = (inputs[1].clone() * (width as f64).powf(-0.5)).reshape([width, width]);
            let hidden = inputs[2].clone().reshape([rows, width]);
            crate::rnn_sequence(projected, weight, hidden, activation).reshape([steps * rows * width])
        });
    }
}

#[test]
#[ignore = "needs an adapter"]
fn dropout_drops_the_numbers_of_the_cpu_on_an_adapter() {
    let draw = || crate::Draws::from_seed(0xFEDC_BA98_7654_3210).take();
    let (cpu, adapter) = (Device::flex(), Device::wgpu(DeviceKind::DefaultDevice));
    for length in [1, 5, 1023, 1025, 100_000] {
        let [on_cpu, on_adapter] = [&cpu, &adapter].map(|device| {
            let ones = Tensor::<1>::ones([length], device);
            crate::testing::values(&crate::dropout(ones, 0.3, draw()))
        });
        assert_eq!(on_adapter, on_cpu, "{length} numbers");
        assert_equals_cpu("dropout", &[length], |inputs, _| crate::dropout(inputs[0].clone(), 0.3, draw()));
    }
    // Attention, where each key and query has its number, and heads may share keys.
    let heads = AttentionHeads { queries: 4, key_values: 2, width: 8 };
    let scores = AttentionScores { scale: 0.35, soft_cap: None, window: None };
    for [rows, steps] in [[1, 1], [2, 5], [3, 67]] {
        let shape = [rows, steps, heads.packed_columns()];
        assert_equals_cpu("attention with dropout", &[shape.iter().product()], |inputs, _| {
            let output = crate::causal_attention(inputs[0].clone().reshape(shape), heads, scores, 0.3, draw());
            let length = output.dims().iter().product::<usize>();
            output.reshape([length])
        });
    }
}
