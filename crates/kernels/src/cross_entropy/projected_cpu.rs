//! The CPU bodies from the input of the projection: some rows of logits at a time.

use std::ops::Range;

use super::cpu::{gradient_of_row, losses_of_rows};
use crate::cpu::{Matrix, MatrixMut, Real, Rows, for_rows, multiply_in_parallel, simd};

/// How many logits exist at once, at most, unless one row has more: 4 MiB in single precision.
const LOGITS_AT_ONCE: usize = 1 << 20;

/// Where the logits come from, and the targets.
#[derive(Clone, Copy)]
pub(super) struct Projection<'a, T> {
    /// `[N, C]`.
    pub(super) hidden: Matrix<'a, T>,
    /// `[C, V]`.
    pub(super) weight: Matrix<'a, T>,
    /// `[V]`.
    pub(super) bias: &'a [T],
    /// `[N]`.
    pub(super) targets: &'a [u32],
}

/// The gradients of what a [`Projection`] is made of.
pub(super) struct ProjectionGradients<T> {
    /// `[N, C]`.
    pub(super) hidden: Vec<T>,
    /// `[C, V]`.
    pub(super) weight: Vec<T>,
    /// `[V]`.
    pub(super) bias: Vec<T>,
}

impl<T: Real> Projection<'_, T> {
    fn vocabulary(&self) -> usize {
        self.bias.len()
    }

    /// The rows that are worked on at once, one group after the other.
    fn groups(&self) -> impl Iterator<Item = Range<usize>> + use<T> {
        let (rows, count) = (self.targets.len(), (LOGITS_AT_ONCE / self.vocabulary()).max(1));
        (0..rows).step_by(count).map(move |start| start..rows.min(start + count))
    }

    /// Room for the logits of a group.
    fn buffer(&self) -> Vec<T> {
        vec![T::ZERO; self.groups().next().map_or(0, |rows| rows.len()) * self.vocabulary()]
    }

    /// The logits of some rows.
    fn set_logits(&self, rows: Range<usize>, logits: &mut [T]) {
        logits.chunks_exact_mut(self.vocabulary()).for_each(|row| row.copy_from_slice(self.bias));
        let target = MatrixMut::new(logits, rows.len(), self.vocabulary());
        multiply_in_parallel(target, self.hidden.rows(rows), self.weight, true);
    }

    /// Losses and logarithms of the sums of exponentials, `[N]` each.
    pub(super) fn losses(&self) -> [Vec<T>; 2] {
        let (rows, vocabulary) = (self.targets.len(), self.vocabulary());
        let (mut losses, mut logarithms) = (vec![T::ZERO; rows], vec![T::ZERO; rows]);
        let mut buffer = self.buffer();
        for group in self.groups() {
            let logits = &mut buffer[..group.len() * vocabulary];
            self.set_logits(group.clone(), logits);
            let targets = &self.targets[group.clone()];
            losses_of_rows(logits, vocabulary, targets, &mut losses[group.clone()], &mut logarithms[group]);
        }
        [losses, logarithms]
    }

    /// The gradients of the losses, whose own are `slopes`.
    pub(super) fn gradients(&self, logarithms: &[T], slopes: &[T]) -> ProjectionGradients<T> {
        let ([rows, inner], vocabulary) = (self.hidden.sizes(), self.vocabulary());
        let mut hidden = vec![T::ZERO; rows * inner];
        let mut weight = vec![T::ZERO; inner * vocabulary];
        let mut bias = vec![T::ZERO; vocabulary];
        let mut buffer = self.buffer();
        for group in self.groups() {
            let logits = &mut buffer[..group.len() * vocabulary];
            self.set_logits(group.clone(), logits);
            self.differentiate(&group, [logarithms, slopes], logits);
            for row in logits.chunks_exact(vocabulary) {
                simd(
                    #[inline(always)]
                    || bias.iter_mut().zip(row).for_each(|(sum, slope)| *sum += *slope),
                );
            }
            let slopes = Matrix::new(logits, group.len(), vocabulary);
            let target = MatrixMut::new(&mut weight, inner, vocabulary);
            multiply_in_parallel(target, self.hidden.rows(group.clone()).transposed(), slopes, true);
            let target = MatrixMut::new(&mut hidden[group.start * inner..group.end * inner], group.len(), inner);
            multiply_in_parallel(target, slopes, self.weight.transposed(), false);
        }
        ProjectionGradients { hidden, weight, bias }
    }

    /// The logits of a group become their gradients.
    fn differentiate(&self, group: &Range<usize>, [logarithms, slopes]: [&[T]; 2], logits: &mut [T]) {
        let vocabulary = self.vocabulary();
        for_rows(group.len(), 4 * vocabulary, Rows::new(logits, vocabulary), |range, part| {
            simd(
                #[inline(always)]
                || {
                    for (row, index) in part.data.chunks_exact_mut(vocabulary).zip(range) {
                        let index = group.start + index;
                        gradient_of_row(row, self.targets[index] as usize, logarithms[index], slopes[index]);
                    }
                },
            );
        });
    }
}
