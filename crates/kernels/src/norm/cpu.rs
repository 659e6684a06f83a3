//! The CPU bodies: one pass over each row forward, one backward, the row staying in the cache.

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;

use super::{NormGradients, NormKind, NormOps};
use crate::cpu::reduce::{sum, sum_of_pairs};
use crate::cpu::{Real, Rows, for_rows, simd, sum_of_rows};
use crate::flex::{Number, contiguous, numbers, sizes, tensor, with_number};

impl NormOps for Flex {
    fn layer_norm(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        Self::biased_layer_norm_keeping(input, weight, bias, epsilon).0
    }

    fn unbiased_layer_norm(input: FloatTensor<Self>, weight: FloatTensor<Self>, epsilon: f64) -> FloatTensor<Self> {
        Self::norm_keeping(input, weight, NormKind::Layer, epsilon).0
    }

    fn rms_norm(input: FloatTensor<Self>, weight: FloatTensor<Self>, epsilon: f64) -> FloatTensor<Self> {
        Self::norm_keeping(input, weight, NormKind::Rms, epsilon).0
    }
}

impl NormGradients for Flex {
    fn norm_keeping(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        kind: NormKind,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        with_number!(input, T => forward::<T>(input, weight, None, kind, epsilon))
    }

    fn biased_layer_norm_keeping(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        with_number!(input, T => forward::<T>(input, weight, Some(bias), NormKind::Layer, epsilon))
    }

    fn norm_backward(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        statistics: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        kind: NormKind,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        with_number!(input, T => backward::<T>(input, weight, statistics, gradient, kind))
    }
}

fn forward<T: Number>(
    input: FlexTensor,
    weight: FlexTensor,
    bias: Option<FlexTensor>,
    kind: NormKind,
    epsilon: f64,
) -> (FlexTensor, FlexTensor) {
    let (input, weight, bias) = (contiguous(input), contiguous(weight), bias.map(contiguous));
    let [rows, width] = sizes(&input);
    let (x, weight) = (numbers::<T>(&input), numbers::<T>(&weight));
    let bias = bias.as_ref().map(numbers::<T>);
    let (mut output, mut statistics) = (vec![T::ZERO; rows * width], vec![T::ZERO; rows * 2]);
    let parts = (Rows::new(&mut output, width), Rows::new(&mut statistics, 2));
    for_rows(rows, 2 * width, parts, |range, (output, statistics)| {
        let inputs = x[range.start * width..range.end * width].chunks_exact(width);
        let outputs = output.data.chunks_exact_mut(width).zip(statistics.data.chunks_exact_mut(2));
        simd(
            #[inline(always)]
            || {
                for (x, (y, statistics)) in inputs.zip(outputs) {
                    let (mean, factor) = statistics_of(x, kind, epsilon);
                    statistics.copy_from_slice(&[mean, factor]);
                    for ((y, x), weight) in y.iter_mut().zip(x).zip(weight) {
                        *y = (*x - mean) * factor * *weight;
                    }
                    if let Some(bias) = bias {
                        y.iter_mut().zip(bias).for_each(|(y, bias)| *y += *bias);
                    }
                }
            },
        );
    });
    (tensor(output, [rows, width]), tensor(statistics, [rows, 2]))
}

/// The mean that is taken off a row, and the factor that it is then multiplied by.
#[inline(always)]
fn statistics_of<T: Real>(x: &[T], kind: NormKind, epsilon: f64) -> (T, T) {
    let count = T::from_f64(x.len() as f64);
    let mean = match kind {
        NormKind::Layer => sum(x, |x| x) / count,
        NormKind::Rms => T::ZERO,
    };
    let mean_square = sum(x, |x| (x - mean) * (x - mean)) / count;
    (mean, T::ONE / (mean_square + T::from_f64(epsilon)).sqrt())
}

/// With n = (x - mean) factor, the gradient of the row before weights is g = gradient weight, and that of the input
/// factor (g - mean(g) - n mean(g n)), where RMS norm has no mean(g).
fn backward<T: Number>(
    input: FlexTensor,
    weight: FlexTensor,
    statistics: FlexTensor,
    gradient: FlexTensor,
    kind: NormKind,
) -> (FlexTensor, FlexTensor, FlexTensor) {
    let (input, weight, gradient) = (contiguous(input), contiguous(weight), contiguous(gradient));
    let [rows, width] = sizes(&input);
    let (x, weight, statistics) = (numbers::<T>(&input), numbers::<T>(&weight), numbers::<T>(&statistics));
    let slopes = numbers::<T>(&gradient);
    let mut output = vec![T::ZERO; rows * width];
    let sums = sum_of_rows::<T, _>(rows, 4 * width, 2 * width, Rows::new(&mut output, width), |range, output, sums| {
        // x - mean times the factor, and its gradient, of one row.
        let (mut normal, mut scaled) = (vec![T::ZERO; width], vec![T::ZERO; width]);
        simd(
            #[inline(always)]
            || {
                // All of a length that the compiler sees, and few in each loop: or it looks at every index, or cannot ask whether
                // they overlap, and uses no vectors.
                let (weight_sums, bias_sums) = sums.split_at_mut(width);
                let (weight, bias_sums) = (&weight[..width], &mut bias_sums[..width]);
                let (normal, scaled) = (&mut normal[..width], &mut scaled[..width]);
                for (d_x, row) in output.data.chunks_exact_mut(width).zip(range) {
                    let (mean, factor) = (statistics[2 * row], statistics[2 * row + 1]);
                    let (x, slopes) = (&x[row * width..][..width], &slopes[row * width..][..width]);
                    for index in 0..width {
                        normal[index] = (x[index] - mean) * factor;
                        scaled[index] = slopes[index] * weight[index];
                    }
                    for index in 0..width {
                        weight_sums[index] += slopes[index] * normal[index];
                    }
                    bias_sums.iter_mut().zip(slopes).for_each(|(sum, slope)| *sum += *slope);
                    let count = T::from_f64(width as f64);
                    let along = sum_of_pairs(scaled, normal, |a, b| a * b) / count;
                    let level = match kind {
                        NormKind::Layer => sum(scaled, |x| x) / count,
                        NormKind::Rms => T::ZERO,
                    };
                    for index in 0..width {
                        d_x[index] = factor * (scaled[index] - level - normal[index] * along);
                    }
                }
            },
        );
    });
    let (weight_gradient, bias_gradient) = sums.split_at(width);
    (tensor(output, [rows, width]), tensor(weight_gradient.to_vec(), [width]), tensor(bias_gradient.to_vec(), [width]))
}
