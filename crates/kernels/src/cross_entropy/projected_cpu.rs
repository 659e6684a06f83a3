//! The CPU body from the input of the projection: some rows of logits at a time.

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;

use super::ProjectedOperands;
use super::cpu::{gradient_of_row, losses_of_rows};
use crate::cpu::{Matrix, MatrixMut, Rows, for_rows, multiply_in_parallel, simd};
use crate::flex::{Number, contiguous, indices, matrix_view, numbers, sizes, tensor};

/// How many logits exist at once, at most, unless one row has more: 4 MiB in single precision.
const LOGITS_AT_ONCE: usize = 1 << 20;

/// The operands, in order.
struct Operands {
    hidden: FlexTensor,
    weight: FlexTensor,
    bias: FlexTensor,
    targets: Vec<u32>,
    rows: usize,
    inner: usize,
    vocabulary: usize,
}

impl Operands {
    fn new(operands: ProjectedOperands<Flex>) -> Self {
        let ProjectedOperands { hidden, weight, bias, targets } = operands;
        let ([rows, inner], [_, vocabulary]) = (sizes(&hidden), sizes(&weight));
        let targets = indices(&targets, vocabulary, "target");
        Self { hidden: contiguous(hidden), weight, bias: contiguous(bias), targets, rows, inner, vocabulary }
    }

    /// The rows that are worked on at once, one group after the other.
    fn groups(&self) -> impl Iterator<Item = std::ops::Range<usize>> + use<> {
        let (rows, count) = (self.rows, (LOGITS_AT_ONCE / self.vocabulary).max(1));
        (0..rows).step_by(count).map(move |start| start..rows.min(start + count))
    }

    fn hidden_rows<T: Number>(&self, rows: &std::ops::Range<usize>) -> Matrix<'_, T> {
        let hidden = &numbers::<T>(&self.hidden)[rows.start * self.inner..rows.end * self.inner];
        Matrix::new(hidden, rows.len(), self.inner)
    }

    /// The logits of some rows.
    fn logits<T: Number>(&self, weight: Matrix<'_, T>, rows: &std::ops::Range<usize>, logits: &mut [T]) {
        let bias = numbers::<T>(&self.bias);
        logits.chunks_exact_mut(self.vocabulary).for_each(|row| row.copy_from_slice(bias));
        let target = MatrixMut::new(logits, rows.len(), self.vocabulary);
        multiply_in_parallel(target, self.hidden_rows(rows), weight, true);
    }

    fn largest_group(&self) -> usize {
        self.groups().next().map_or(0, |rows| rows.len())
    }
}

fn weight_view<T: Number>(weight: &FlexTensor) -> Matrix<'_, T> {
    match matrix_view(weight) {
        Some(view) => view,
        None => panic!("the weight of a projection must have contiguous rows or columns"),
    }
}

/// Losses and logarithms of the sums of exponentials, `[N]` each.
pub(super) fn forward<T: Number>(operands: ProjectedOperands<Flex>) -> (FlexTensor, FlexTensor) {
    let operands = Operands::new(operands);
    let (rows, vocabulary) = (operands.rows, operands.vocabulary);
    let weight = weight_view::<T>(&operands.weight);
    let (mut losses, mut logarithms) = (vec![T::ZERO; rows], vec![T::ZERO; rows]);
    let mut buffer = vec![T::ZERO; operands.largest_group() * vocabulary];
    for group in operands.groups() {
        let logits = &mut buffer[..group.len() * vocabulary];
        operands.logits(weight, &group, logits);
        let targets = &operands.targets[group.clone()];
        losses_of_rows(logits, vocabulary, targets, &mut losses[group.clone()], &mut logarithms[group]);
    }
    (tensor(losses, [rows]), tensor(logarithms, [rows]))
}

/// Gradients of hidden, weight and bias.
pub(super) fn backward<T: Number>(
    operands: ProjectedOperands<Flex>,
    logarithms: FlexTensor,
    gradient: FlexTensor,
) -> [FlexTensor; 3] {
    let operands = Operands::new(operands);
    let gradient = contiguous(gradient);
    let (rows, inner, vocabulary) = (operands.rows, operands.inner, operands.vocabulary);
    let (logarithms, slopes) = (numbers::<T>(&logarithms), numbers::<T>(&gradient));
    let weight = weight_view::<T>(&operands.weight);
    let mut d_hidden = vec![T::ZERO; rows * inner];
    let mut d_weight = vec![T::ZERO; inner * vocabulary];
    let mut d_bias = vec![T::ZERO; vocabulary];
    let mut buffer = vec![T::ZERO; operands.largest_group() * vocabulary];
    for group in operands.groups() {
        let logits = &mut buffer[..group.len() * vocabulary];
        operands.logits(weight, &group, logits);
        for_rows(group.len(), 4 * vocabulary, Rows::new(logits, vocabulary), |range, part| {
            simd(
                #[inline(always)]
                || {
                    for (row, index) in part.data.chunks_exact_mut(vocabulary).zip(range) {
                        let index = group.start + index;
                        gradient_of_row(row, operands.targets[index] as usize, logarithms[index], slopes[index]);
                    }
                },
            );
        });
        for row in logits.chunks_exact(vocabulary) {
            simd(
                #[inline(always)]
                || d_bias.iter_mut().zip(row).for_each(|(sum, slope)| *sum += *slope),
            );
        }
        let slopes = Matrix::new(logits, group.len(), vocabulary);
        let target = MatrixMut::new(&mut d_weight, inner, vocabulary);
        multiply_in_parallel(target, operands.hidden_rows(&group).transposed(), slopes, true);
        let target = MatrixMut::new(&mut d_hidden[group.start * inner..group.end * inner], group.len(), inner);
        multiply_in_parallel(target, slopes, weight.transposed(), false);
    }
    [tensor(d_hidden, [rows, inner]), tensor(d_weight, [inner, vocabulary]), tensor(d_bias, [vocabulary])]
}
