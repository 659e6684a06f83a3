//! The CPU bodies: one pass over each row forward, one backward, the row staying in the cache.

use crate::cpu::reduce::{sum, sum_of_pairs};
use crate::cpu::{Real, Rows, for_rows, simd, sum_of_rows};

/// Which norm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NormKind {
    /// Less the mean, over the standard deviation.
    Layer,
    /// Over the root of the mean square.
    Rms,
}

/// The norm of the rows of `input` `[N, C]`, into `output`; the mean that was subtracted from each row, and the factor
/// that it was then multiplied by, into `statistics` `[N, 2]`.
pub(super) fn norm<T: Real>(
    input: &[T],
    weight: &[T],
    bias: Option<&[T]>,
    (kind, epsilon): (NormKind, f64),
    [output, statistics]: [&mut [T]; 2],
) {
    let width = weight.len();
    let rows = input.len() / width;
    let parts = (Rows::new(output, width), Rows::new(statistics, 2));
    for_rows(rows, 2 * width, parts, |range, (output, statistics)| {
        let inputs = input[range.start * width..range.end * width].chunks_exact(width);
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
}

/// The mean that is subtracted from a row, and the factor that it is then multiplied by.
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

/// The gradient of `input`, into `gradient`, and those of weight and bias, `[2 C]`, from the output's gradient
/// `slopes`. With n = (x - mean) factor, the gradient of the row before weights is g = slopes weight, and that of the
/// input factor (g - mean(g) - n mean(g n)), where RMS norm has no mean(g).
pub(super) fn norm_backward<T: Real>(
    [input, weight, statistics, slopes]: [&[T]; 4],
    kind: NormKind,
    gradient: &mut [T],
) -> Vec<T> {
    let width = weight.len();
    let rows = input.len() / width;
    sum_of_rows::<T, _>(rows, 4 * width, 2 * width, Rows::new(gradient, width), |range, part, sums| {
        // x - mean times the factor, and its gradient, of one row.
        let (mut normal, mut scaled) = (vec![T::ZERO; width], vec![T::ZERO; width]);
        simd(
            #[inline(always)]
            || {
                // All of a length that the compiler sees, and few in each loop: or it looks at every index, or cannot
                // ask whether they overlap, and uses no vectors.
                let (weight_sums, bias_sums) = sums.split_at_mut(width);
                let (weight, bias_sums) = (&weight[..width], &mut bias_sums[..width]);
                let (normal, scaled) = (&mut normal[..width], &mut scaled[..width]);
                for (d_x, row) in part.data.chunks_exact_mut(width).zip(range) {
                    let (mean, factor) = (statistics[2 * row], statistics[2 * row + 1]);
                    let (x, slopes) = (&input[row * width..][..width], &slopes[row * width..][..width]);
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
    })
}
