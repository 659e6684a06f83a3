//! The CPU bodies: one pass each.

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_PI, FRAC_2_SQRT_PI};

use super::{Activation, ActivationGradients, ActivationOps};
use crate::cpu::{Real, Rows, for_rows, simd};
use crate::flex::{Number, contiguous, numbers, sizes, tensor, with_number};

/// An exponential is worth about as much as reading and writing this many numbers.
const EXPONENTIAL: usize = 4;

impl ActivationOps for Flex {
    fn activate(input: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self> {
        with_number!(input, T => match activation {
            Activation::Gelu => map::<T>(input, gelu),
            Activation::GeluTanh => map::<T>(input, gelu_tanh),
            Activation::ReluSquared => map::<T>(input, relu_squared),
        })
    }

    fn swiglu(input: FloatTensor<Self>) -> FloatTensor<Self> {
        with_number!(input, T => swiglu::<T>(input))
    }
}

impl ActivationGradients for Flex {
    fn activate_backward(
        input: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        with_number!(input, T => match activation {
            Activation::Gelu => scale_by_slope::<T>(input, gradient, gelu_slope),
            Activation::GeluTanh => scale_by_slope::<T>(input, gradient, gelu_tanh_slope),
            Activation::ReluSquared => scale_by_slope::<T>(input, gradient, relu_squared_slope),
        })
    }

    fn swiglu_backward(input: FloatTensor<Self>, gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        with_number!(input, T => swiglu_backward::<T>(input, gradient))
    }
}

fn map<T: Number>(input: FlexTensor, function: impl Fn(T) -> T + Sync) -> FlexTensor {
    let input = contiguous(input);
    let x = numbers::<T>(&input);
    let mut output = vec![T::ZERO; x.len()];
    for_rows(x.len(), EXPONENTIAL, Rows::new(&mut output, 1), |range, part| {
        simd(
            #[inline(always)]
            || part.data.iter_mut().zip(&x[range]).for_each(|(y, x)| *y = function(*x)),
        );
    });
    tensor(output, input.layout().shape().clone())
}

/// In the gradient's own memory where nobody else holds it.
fn scale_by_slope<T: Number>(input: FlexTensor, gradient: FlexTensor, slope: impl Fn(T) -> T + Sync) -> FlexTensor {
    let (input, mut gradient) = (contiguous(input), contiguous(gradient));
    let x = numbers::<T>(&input);
    for_rows(x.len(), EXPONENTIAL, Rows::new(gradient.storage_mut::<T>(), 1), |range, part| {
        simd(
            #[inline(always)]
            || part.data.iter_mut().zip(&x[range]).for_each(|(g, x)| *g *= slope(*x)),
        );
    });
    gradient
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

fn swiglu<T: Number>(input: FlexTensor) -> FlexTensor {
    let input = contiguous(input);
    let [rows, columns] = sizes(&input);
    let (x, width) = (numbers::<T>(&input), columns / 2);
    let mut output = vec![T::ZERO; rows * width];
    for_rows(rows, columns * EXPONENTIAL, Rows::new(&mut output, width), |range, part| {
        let inputs = x[range.start * columns..range.end * columns].chunks_exact(columns);
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
    tensor(output, [rows, width])
}

fn swiglu_backward<T: Number>(input: FlexTensor, gradient: FlexTensor) -> FlexTensor {
    let (input, gradient) = (contiguous(input), contiguous(gradient));
    let [rows, columns] = sizes(&input);
    let (x, width) = (numbers::<T>(&input), columns / 2);
    let slopes = numbers::<T>(&gradient);
    let mut output = vec![T::ZERO; x.len()];
    for_rows(rows, columns * EXPONENTIAL, Rows::new(&mut output, columns), |range, part| {
        let inputs = x[range.start * columns..range.end * columns].chunks_exact(columns);
        let slopes = slopes[range.start * width..range.end * width].chunks_exact(width);
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
    tensor(output, [rows, columns])
}
