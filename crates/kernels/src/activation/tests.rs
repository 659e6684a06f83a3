use burn::tensor::{Device, Tensor};

use super::{Activation, activate, reference, sigmoid, swiglu, tanh};
use crate::testing::{assert_equals_reference, assert_gradients};

#[test]
fn activations_equal_their_references() {
    for activation in [Activation::Gelu, Activation::GeluTanh, Activation::Relu, Activation::ReluSquared] {
        for length in [1, 7, 64, 1001, 70_000] {
            let fused = |inputs: &[Tensor<1>]| activate(inputs[0].clone() * 3.0, activation);
            let expected = |inputs: &[Tensor<1>]| reference::activate(inputs[0].clone() * 3.0, activation);
            assert_equals_reference(&format!("{activation:?} of {length}"), &[length], &fused, &expected);
            assert_gradients(&format!("{activation:?} of {length}"), &[length], &fused);
        }
    }
}

#[test]
fn swiglu_equals_its_reference() {
    for [rows, width] in [[1, 1], [3, 5], [65, 33], [200, 128]] {
        let shaped = |inputs: &[Tensor<1>]| (inputs[0].clone() * 3.0).reshape([rows, 2 * width]);
        let fused = |inputs: &[Tensor<1>]| swiglu(shaped(inputs)).reshape([rows * width]);
        let expected = |inputs: &[Tensor<1>]| reference::swiglu(shaped(inputs)).reshape([rows * width]);
        assert_equals_reference(&format!("SwiGLU of {rows} x {width}"), &[rows * 2 * width], &fused, &expected);
        assert_gradients(&format!("SwiGLU of {rows} x {width}"), &[rows * 2 * width], &fused);
    }
}

#[test]
#[should_panic(expected = "SwiGLU needs as many gates as values, not 5 columns")]
fn an_odd_number_of_columns_is_refused() {
    swiglu(Tensor::zeros([2, 5], &Device::flex()));
}

/// Points of all magnitudes and both signs.
fn points() -> Vec<f32> {
    let magnitudes = [0.0, 1e-30, 1e-8, 1e-3, 0.1, 0.5, 1.0, 2.0, 3.7, 9.0, 20.0, 87.0, 89.0, 105.0, 1e4, 1e18];
    magnitudes.iter().flat_map(|&magnitude| [magnitude, -magnitude]).collect()
}

/// Value and derivative at every point, against the function in 64 bits and its difference quotient.
fn check(name: &str, function: impl Fn(Tensor<1>) -> Tensor<1>, exact: fn(f64) -> f64) {
    let device = Device::flex().autodiff();
    let input = Tensor::<1>::from_floats(points().as_slice(), &device).require_grad();
    let output = function(input.clone());
    let gradient = input.grad(&output.clone().sum().backward()).expect("the input wants a gradient");
    let plain = function(input.clone().inner());
    let [values, plain, slopes] =
        [output, plain, gradient].map(|tensor| tensor.to_data().iter::<f64>().collect::<Vec<_>>());
    assert_eq!(values, plain, "{name} has the same value with and without autodiff");
    for ((point, value), slope) in points().into_iter().zip(values).zip(slopes) {
        let point = f64::from(point);
        let expected = exact(point);
        assert!((value - expected).abs() <= 3e-7 * (1.0 + expected.abs()), "{name}({point}) = {value}, not {expected}");
        let step = 1e-4 * (1.0 + point.abs());
        let expected = (exact(point + step) - exact(point - step)) / (2.0 * step);
        assert!(
            (slope - expected).abs() <= 2e-6 * (1.0 + expected.abs()),
            "{name}'({point}) = {slope}, not {expected}"
        );
    }
}

#[test]
fn functions_have_their_values_and_derivatives_everywhere() {
    check("sigmoid", sigmoid, |x| 1.0 / (1.0 + (-x).exp()));
    check("tanh", tanh, f64::tanh);
    let gelu = |x: f64| x * 0.5 * (1.0 + libm::erf(x * std::f64::consts::FRAC_1_SQRT_2));
    let gelu_tanh = |x: f64| {
        let u = std::f64::consts::FRAC_2_PI.sqrt() * (x + 0.044715 * x.powi(3));
        x * 0.5 * (1.0 + u.tanh())
    };
    for form in [activate, reference::activate] as [fn(Tensor<1>, Activation) -> Tensor<1>; 2] {
        check("gelu", |x| form(x, Activation::Gelu), gelu);
        check("gelu_tanh", |x| form(x, Activation::GeluTanh), gelu_tanh);
    }
}
