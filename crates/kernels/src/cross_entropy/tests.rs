use burn::tensor::{Device, Tensor, TensorData};

use super::{cross_entropy, projected_cross_entropy, reference};
use crate::testing::{assert_equals_reference, assert_gradients, integers};

#[test]
fn cross_entropy_equals_its_reference() {
    for [rows, vocabulary] in [[1, 1], [1, 2], [3, 65], [130, 33], [300, 257]] {
        let targets = integers([rows], 5, vocabulary, &Device::flex());
        let shaped = |inputs: &[Tensor<1>]| (inputs[0].clone() * 4.0).reshape([rows, vocabulary]);
        let fused = |inputs: &[Tensor<1>]| cross_entropy(shaped(inputs), targets.clone());
        let expected = |inputs: &[Tensor<1>]| reference::cross_entropy(shaped(inputs), targets.clone());
        let what = format!("cross-entropy of {rows} x {vocabulary}");
        // With one logit the loss is 0 and so is its gradient, which rounding would be compared with.
        if vocabulary > 1 {
            assert_equals_reference(&what, &[rows * vocabulary], &fused, &expected);
        }
        assert_gradients(&what, &[rows * vocabulary], &fused);
    }
}

#[test]
fn projected_cross_entropy_equals_its_reference() {
    // The last one has more logits than exist at once.
    for [rows, inner, vocabulary] in [[1, 1, 2], [3, 5, 65], [130, 16, 33], [67, 8, 40_000]] {
        for with_bias in [false, true] {
            let targets = integers([rows], 5, vocabulary, &Device::flex());
            let parts = |inputs: &[Tensor<1>]| {
                let bias = with_bias.then(|| inputs[2].clone());
                (inputs[0].clone().reshape([rows, inner]), inputs[1].clone().reshape([inner, vocabulary]), bias)
            };
            let fused = |inputs: &[Tensor<1>]| {
                let (hidden, weight, bias) = parts(inputs);
                projected_cross_entropy(hidden, weight, bias, targets.clone())
            };
            let expected = |inputs: &[Tensor<1>]| {
                let (hidden, weight, bias) = parts(inputs);
                reference::projected_cross_entropy(hidden, weight, bias, targets.clone())
            };
            let what = format!("projected cross-entropy of {rows} x {inner} x {vocabulary}, bias {with_bias}");
            let lengths = [rows * inner, inner * vocabulary, vocabulary];
            assert_equals_reference(&what, &lengths, &fused, &expected);
            assert_gradients(&what, &lengths, &fused);
        }
    }
}

#[test]
fn the_loss_is_the_one_worked_by_hand() {
    let device = Device::flex();
    // Probabilities 1/4, 3/4 and 1/2, 1/2: -ln of the targets' are ln 4 and ln 2.
    let logits = Tensor::<2>::from_floats([[0.0, 3f32.ln()], [5.0, 5.0]], &device);
    let targets = Tensor::from_data(TensorData::from([0, 1]), &device);
    let losses = crate::testing::values(&cross_entropy(logits, targets));
    crate::testing::assert_close("the loss", &losses, &[4f64.ln(), 2f64.ln()], 1e-6);
}

#[test]
fn large_logits_do_not_overflow() {
    let logits = Tensor::<2>::from_floats([[1e4, 0.0], [-1e4, 1e4]], &Device::flex());
    let targets = Tensor::from_data(TensorData::from([1, 0]), &Device::flex());
    cross_entropy(logits, targets).into_data().assert_eq(&TensorData::from([1e4f32, 2e4]), false);
}

#[test]
#[should_panic(expected = "target 5 is not below 5")]
fn a_target_out_of_range_is_refused() {
    let targets = Tensor::from_data(TensorData::from([0, 5]), &Device::flex());
    cross_entropy(Tensor::zeros([2, 5], &Device::flex()), targets);
}

#[test]
#[should_panic(expected = "target -1 is not below 5")]
fn a_negative_target_is_refused() {
    let targets = Tensor::from_data(TensorData::from([-1]), &Device::flex());
    cross_entropy(Tensor::zeros([1, 5], &Device::flex()), targets);
}
