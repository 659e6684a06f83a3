use burn::tensor::{Device, Tensor};

use super::{layer_norm, reference, rms_norm};
use crate::testing::{assert_equals_reference, assert_gradients};

const SHAPES: [[usize; 2]; 6] = [[1, 3], [3, 5], [1, 129], [130, 65], [300, 128], [7, 384]];

#[test]
fn layer_norm_equals_its_reference() {
    for [rows, width] in SHAPES {
        for with_bias in [false, true] {
            let what = format!("layer norm of {rows} x {width}, bias {with_bias}");
            let parts = |inputs: &[Tensor<1>]| {
                (inputs[0].clone().reshape([rows, width]), inputs[1].clone(), with_bias.then(|| inputs[2].clone()))
            };
            let fused = |inputs: &[Tensor<1>]| {
                let (input, weight, bias) = parts(inputs);
                layer_norm(input, weight, bias, 1e-5).reshape([rows * width])
            };
            let expected = |inputs: &[Tensor<1>]| {
                let (input, weight, bias) = parts(inputs);
                reference::layer_norm(input, weight, bias, 1e-5).reshape([rows * width])
            };
            assert_equals_reference(&what, &[rows * width, width, width], &fused, &expected);
            assert_gradients(&what, &[rows * width, width, width], &fused);
        }
    }
}

#[test]
fn rms_norm_equals_its_reference() {
    for [rows, width] in SHAPES {
        let what = format!("RMS norm of {rows} x {width}");
        let parts = |inputs: &[Tensor<1>]| (inputs[0].clone().reshape([rows, width]), inputs[1].clone());
        let fused = |inputs: &[Tensor<1>]| {
            let (input, weight) = parts(inputs);
            rms_norm(input, weight, 1e-6).reshape([rows * width])
        };
        let expected = |inputs: &[Tensor<1>]| {
            let (input, weight) = parts(inputs);
            reference::rms_norm(input, weight, 1e-6).reshape([rows * width])
        };
        assert_equals_reference(&what, &[rows * width, width], &fused, &expected);
        assert_gradients(&what, &[rows * width, width], &fused);
    }
}

#[test]
#[should_panic(expected = "a norm of 4 columns needs as many weights, not 3")]
fn weights_that_do_not_fit_are_refused() {
    let device = Device::flex();
    rms_norm(Tensor::zeros([2, 4], &device), Tensor::zeros([3], &device), 1e-6);
}
