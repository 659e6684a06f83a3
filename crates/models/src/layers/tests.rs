use burn::module::Param;
use burn::tensor::{Device, Tensor};

use super::activation::{gelu, gelu_tanh, sigmoid, silu, tanh};
use super::{Projection, normal};

/// Points of all magnitudes and both signs.
fn points() -> Vec<f32> {
    let magnitudes = [0.0, 1e-30, 1e-8, 1e-3, 0.1, 0.5, 1.0, 2.0, 3.7, 9.0, 20.0, 87.0, 89.0, 105.0, 1e4, 1e18];
    magnitudes.iter().flat_map(|&magnitude| [magnitude, -magnitude]).collect()
}

/// Value and derivative at every point, against the function in 64 bits and its difference quotient.
fn check(name: &str, function: fn(Tensor<1>) -> Tensor<1>, exact: fn(f64) -> f64) {
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

/// Abramowitz and Stegun 7.1.5 and 7.1.23: the error function by its series, far out by its limit.
fn erf(x: f64) -> f64 {
    if x.abs() > 5.0 {
        return x.signum();
    }
    let mut term = x;
    let mut sum = x;
    for n in 1..200 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    sum * std::f64::consts::FRAC_2_SQRT_PI
}

#[test]
fn sigmoid_has_its_value_and_derivative_everywhere() {
    check("sigmoid", sigmoid, |x| 1.0 / (1.0 + (-x).exp()));
}

#[test]
fn tanh_has_its_value_and_derivative_everywhere() {
    check("tanh", tanh, f64::tanh);
}

#[test]
fn silu_has_its_value_and_derivative_everywhere() {
    check("silu", silu, |x| x / (1.0 + (-x).exp()));
}

#[test]
fn gelu_has_its_value_and_derivative_everywhere() {
    check("gelu", gelu, |x| x * 0.5 * (1.0 + erf(x * std::f64::consts::FRAC_1_SQRT_2)));
}

#[test]
fn gelu_by_tanh_has_its_value_and_derivative_everywhere() {
    let exact = |x: f64| {
        let u = std::f64::consts::FRAC_2_PI.sqrt() * (x + 0.044715 * x.powi(3));
        x * 0.5 * (1.0 + u.tanh())
    };
    check("gelu_tanh", gelu_tanh, exact);
}

#[test]
fn columns_of_a_projection_are_those_of_the_whole() {
    let device = Device::flex();
    let projection = Projection { weight: normal([3, 8], 1.0, &device), bias: Some(normal([8], 1.0, &device)) };
    let without_bias = Projection { weight: Param::from_tensor(projection.weight.val()), bias: None };
    let input = normal::<2>([5, 3], 1.0, &device).val();
    for projection in [projection, without_bias] {
        let whole = projection.forward(input.clone());
        let parts =
            [(0, 3), (3, 1), (4, 4)].map(|(start, count)| projection.forward_columns(input.clone(), start, count));
        assert!(Tensor::cat(parts.to_vec(), 1).all_close(whole, None, Some(1e-6)));
    }
}
