//! The CPU body from logits.

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::{FloatTensor, IntTensor};

use super::{
    CrossEntropyGradients, CrossEntropyOps, ProjectedCrossEntropyGradients, ProjectedCrossEntropyOps,
    ProjectedOperands, projected_cpu,
};
use crate::cpu::reduce::{maximum, sum};
use crate::cpu::{Real, Rows, for_rows, simd};
use crate::flex::{Number, contiguous, indices, numbers, sizes, tensor, with_number};

/// An exponential is worth about as much as reading and writing this many numbers.
const EXPONENTIAL: usize = 4;

impl CrossEntropyOps for Flex {
    fn cross_entropy(logits: FloatTensor<Self>, targets: IntTensor<Self>) -> FloatTensor<Self> {
        Self::cross_entropy_keeping(logits, targets).0
    }
}

impl ProjectedCrossEntropyOps for Flex {
    fn projected_cross_entropy(
        hidden: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        targets: IntTensor<Self>,
    ) -> FloatTensor<Self> {
        Self::projected_cross_entropy_keeping(hidden, weight, bias, targets).0
    }
}

impl CrossEntropyGradients for Flex {
    fn cross_entropy_keeping(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        with_number!(logits, T => forward::<T>(logits, targets))
    }

    fn cross_entropy_backward(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
        logarithms: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        with_number!(logits, T => backward::<T>(logits, targets, logarithms, gradient))
    }
}

impl ProjectedCrossEntropyGradients for Flex {
    fn projected_cross_entropy_keeping(
        hidden: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        targets: IntTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let operands = ProjectedOperands::<Self> { hidden, weight, bias, targets };
        with_number!(operands.hidden, T => projected_cpu::forward::<T>(operands))
    }

    fn projected_cross_entropy_backward(
        operands: ProjectedOperands<Self>,
        logarithms: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 3] {
        with_number!(operands.hidden, T => projected_cpu::backward::<T>(operands, logarithms, gradient))
    }
}

fn forward<T: Number>(logits: FlexTensor, targets: FlexTensor) -> (FlexTensor, FlexTensor) {
    let logits = contiguous(logits);
    let [rows, vocabulary] = sizes(&logits);
    let targets = indices(&targets, vocabulary, "target");
    let x = numbers::<T>(&logits);
    let (mut losses, mut logarithms) = (vec![T::ZERO; rows], vec![T::ZERO; rows]);
    losses_of_rows(x, vocabulary, &targets, &mut losses, &mut logarithms);
    (tensor(losses, [rows]), tensor(logarithms, [rows]))
}

/// The losses of all rows, and the logarithms of the sums of their exponentials.
pub(super) fn losses_of_rows<T: Real>(
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
pub(super) fn gradient_of_row<T: Real>(logits: &mut [T], target: usize, logarithm: T, gradient: T) {
    logits.iter_mut().for_each(|x| *x = (*x - logarithm).exp() * gradient);
    logits[target] = logits[target] - gradient;
}

fn backward<T: Number>(
    logits: FlexTensor,
    targets: FlexTensor,
    logarithms: FlexTensor,
    gradient: FlexTensor,
) -> FlexTensor {
    let (logits, gradient) = (contiguous(logits), contiguous(gradient));
    let [rows, vocabulary] = sizes(&logits);
    let targets = indices(&targets, vocabulary, "target");
    let (x, logarithms, slopes) = (numbers::<T>(&logits), numbers::<T>(&logarithms), numbers::<T>(&gradient));
    let mut output = vec![T::ZERO; rows * vocabulary];
    for_rows(rows, vocabulary * EXPONENTIAL, Rows::new(&mut output, vocabulary), |range, part| {
        simd(
            #[inline(always)]
            || {
                for (row, index) in part.data.chunks_exact_mut(vocabulary).zip(range) {
                    row.copy_from_slice(&x[index * vocabulary..][..vocabulary]);
                    gradient_of_row(row, targets[index] as usize, logarithms[index], slopes[index]);
                }
            },
        );
    });
    tensor(output, [rows, vocabulary])
}
