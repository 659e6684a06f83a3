//! The CPU bodies: one pass each.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_PI, FRAC_2_SQRT_PI};

use crate::cpu::{Real, Rows, for_rows, simd};

/// An exponential is worth about as much as reading and writing this many numbers.
const EXPONENTIAL: usize = 4;

/// A function of one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// x Φ(x) with Φ the normal distribution's function (Hendrycks and Gimpel 2016,
    /// <https://arxiv.org/abs/1606.08415>).
    Gelu,
    /// Its approximation x (1 + tanh(sqrt(2 / π) (x + 0.044715 x³))) / 2, of the same paper.
    GeluTanh,
    /// max(x, 0).
    Relu,
    /// max(x, 0)² (So et al. 2021, <https://arxiv.org/abs/2109.08668>).
    ReluSquared,
}

/// The function of each number.
pub(super) fn activate<T: Real>(input: &[T], activation: Activation, output: &mut [T]) {
    match activation {
        Activation::Gelu => map(input, output, gelu),
        Activation::GeluTanh => map(input, output, gelu_tanh),
        Activation::Relu => map(input, output, |x: T| x.larger(T::ZERO)),
        Activation::ReluSquared => map(input, output, relu_squared),
    }
}

/// Multiplies the gradient of each output by the function's slope, which makes it the gradient of the input.
pub(super) fn activate_backward<T: Real>(input: &[T], activation: Activation, gradient: &mut [T]) {
    match activation {
        Activation::Gelu => scale_by_slope(input, gradient, gelu_slope),
        Activation::GeluTanh => scale_by_slope(input, gradient, gelu_tanh_slope),
        Activation::Relu => scale_by_slope(input, gradient, |x: T| if x > T::ZERO { T::ONE } else { T::ZERO }),
        Activation::ReluSquared => scale_by_slope(input, gradient, relu_squared_slope),
    }
}

fn map<T: Real>(input: &[T], output: &mut [T], function: impl Fn(T) -> T + Sync) {
    for_rows(input.len(), EXPONENTIAL, Rows::new(output, 1), |range, part| {
        simd(
            #[inline(always)]
            || part.data.iter_mut().zip(&input[range]).for_each(|(y, x)| *y = function(*x)),
        );
    });
}

fn scale_by_slope<T: Real>(input: &[T], gradient: &mut [T], slope: impl Fn(T) -> T + Sync) {
    for_rows(input.len(), EXPONENTIAL, Rows::new(gradient, 1), |range, part| {
        simd(
            #[inline(always)]
            || part.data.iter_mut().zip(&input[range]).for_each(|(g, x)| *g *= slope(*x)),
        );
    });
}

#[inline(always)]
fn gelu<T: Real>(x: T) -> T {
    x * normal_distribution(x)
}

#[inline(always)]
fn gelu_slope<T: Real>(x: T) -> T {
    let peak = T::from_f64(0.5 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2);
    normal_distribution(x) + x * peak * (x * x * T::from_f64(-0.5)).exp()
}

#[inline(always)]
fn normal_distribution<T: Real>(x: T) -> T {
    let half = T::from_f64(0.5);
    (x * T::from_f64(FRAC_1_SQRT_2)).erf() * half + half
}

/// 2 u of the approximation, and its derivative.
#[inline(always)]
fn doubled_argument<T: Real>(x: T) -> (T, T) {
    let scale = 2.0 * FRAC_2_PI.sqrt();
    let (scale, cubic) = (T::from_f64(scale), T::from_f64(scale * 0.044715));
    let square = x * x;
    ((square * cubic + scale) * x, square * cubic * T::from_f64(3.0) + scale)
}

#[inline(always)]
fn gelu_tanh<T: Real>(x: T) -> T {
    x * doubled_argument(x).0.sigmoid()
}

#[inline(always)]
fn gelu_tanh_slope<T: Real>(x: T) -> T {
    // Beyond 20 the slope is 0 or 1 to the last bit, and the cube of a huge number would make it infinity times zero.
    let limit = T::from_f64(20.0);
    let x = if x < -limit { -limit } else { x };
    let x = if x > limit { limit } else { x };
    let (argument, slope) = doubled_argument(x);
    let sigmoid = argument.sigmoid();
    sigmoid + x * slope * (sigmoid - sigmoid * sigmoid)
}

#[inline(always)]
fn relu_squared<T: Real>(x: T) -> T {
    let positive = x.larger(T::ZERO);
    positive * positive
}

#[inline(always)]
fn relu_squared_slope<T: Real>(x: T) -> T {
    x.larger(T::ZERO) * T::from_f64(2.0)
}

/// SwiGLU of rows `[N, 2 width]` to `[N, width]`.
pub(super) fn swiglu<T: Real>(input: &[T], width: usize, output: &mut [T]) {
    let columns = 2 * width;
    for_rows(input.len() / columns.max(1), columns * EXPONENTIAL, Rows::new(output, width), |range, part| {
        let inputs = input[range.start * columns..range.end * columns].chunks_exact(columns);
        simd(
            #[inline(always)]
            || {
                for (output, input) in part.data.chunks_exact_mut(width).zip(inputs) {
                    let (gates, values) = input.split_at(width);
                    for ((y, gate), value) in output.iter_mut().zip(gates).zip(values) {
                        *y = *gate * gate.sigmoid() * *value;
                    }
                }
            },
        );
    });
}

/// The gradient `[N, 2 width]` of [`swiglu`]'s input from that of its output, `[N, width]`.
pub(super) fn swiglu_backward<T: Real>(input: &[T], output_gradient: &[T], width: usize, gradient: &mut [T]) {
    let columns = 2 * width;
    for_rows(input.len() / columns.max(1), columns * EXPONENTIAL, Rows::new(gradient, columns), |range, part| {
        let inputs = input[range.start * columns..range.end * columns].chunks_exact(columns);
        let slopes = output_gradient[range.start * width..range.end * width].chunks_exact(width);
        simd(
            #[inline(always)]
            || {
                for ((output, input), slopes) in part.data.chunks_exact_mut(columns).zip(inputs).zip(slopes) {
                    let ((gates, values), (d_gates, d_values)) = (input.split_at(width), output.split_at_mut(width));
                    for index in 0..width {
                        let (gate, value, slope) = (gates[index], values[index], slopes[index]);
                        let sigmoid = gate.sigmoid();
                        let silu = gate * sigmoid;
                        d_values[index] = slope * silu;
                        d_gates[index] = slope * value * (sigmoid + silu * (T::ONE - sigmoid));
                    }
                }
            },
        );
    });
}
