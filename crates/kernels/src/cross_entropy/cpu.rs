//! The CPU bodies from logits.

use crate::cpu::reduce::{maximum, sum};
use crate::cpu::{Real, Rows, for_rows, simd};

/// An exponential is worth about as much as reading and writing this many numbers.
const EXPONENTIAL: usize = 4;

/// The losses of all rows, and the logarithms of the sums of their exponentials.
pub(crate) fn losses_of_rows<T: Real>(
    logits: &[T],
    vocabulary: usize,
    targets: &[u32],
    losses: &mut [T],
    logarithms: &mut [T],
) {
    let parts = (Rows::new(losses, 1), Rows::new(logarithms, 1));
    for_rows(targets.len(), vocabulary * EXPONENTIAL, parts, |range, (losses, logarithms)| {
        let rows = logits[range.start * vocabulary..range.end * vocabulary].chunks_exact(vocabulary);
        let outputs = losses.data.iter_mut().zip(logarithms.data);
        simd(
            #[inline(always)]
            || {
                for ((row, target), (loss, logarithm)) in rows.zip(&targets[range]).zip(outputs) {
                    (*loss, *logarithm) = loss_of_row(row, *target as usize);
                }
            },
        );
    });
}

/// The loss of one row, and the logarithm of the sum of its exponentials.
#[inline(always)]
fn loss_of_row<T: Real>(logits: &[T], target: usize) -> (T, T) {
    let largest = maximum(logits);
    let logarithm = sum(logits, |x| (x - largest).exp()).ln();
    (logarithm + (largest - logits[target]), largest + logarithm)
}

/// (softmax - indicator of the target) times the loss's gradient, in place of the logits.
#[inline(always)]
pub(crate) fn gradient_of_row<T: Real>(logits: &mut [T], target: usize, logarithm: T, gradient: T) {
    logits.iter_mut().for_each(|x| *x = (*x - logarithm).exp() * gradient);
    logits[target] = logits[target] - gradient;
}

/// The gradient of the logits `[N, V]` from that of the losses, `slopes`.
pub(super) fn gradients_of_rows<T: Real>(
    logits: &[T],
    vocabulary: usize,
    targets: &[u32],
    [logarithms, slopes]: [&[T]; 2],
    gradient: &mut [T],
) {
    for_rows(targets.len(), vocabulary * EXPONENTIAL, Rows::new(gradient, vocabulary), |range, part| {
        simd(
            #[inline(always)]
            || {
                for (row, index) in part.data.chunks_exact_mut(vocabulary).zip(range) {
                    row.copy_from_slice(&logits[index * vocabulary..][..vocabulary]);
                    gradient_of_row(row, targets[index] as usize, logarithms[index], slopes[index]);
                }
            },
        );
    });
}
