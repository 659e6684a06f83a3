//! The CPU bodies: all parameters as one row of numbers, cut over the threads.

use crate::cpu::reduce::sum;
use crate::cpu::{Joined, Real, Split, for_rows, simd, sum_of_rows};

/// The numbers of one step of Adam or AdamW, already worked out for this step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamStep {
    /// beta1 and beta2.
    pub betas: [f64; 2],
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// The rate over 1 - beta1^t.
    pub rate: f64,
    /// sqrt(1 - beta2^t).
    pub root_correction: f64,
}

/// The numbers of one step of stochastic gradient descent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SgdStep {
    /// The rate.
    pub rate: f64,
    /// mu.
    pub momentum: f64,
    /// Whether the momentum looks ahead.
    pub nesterov: bool,
}

/// Part of a parameter in a step of Adam.
pub(super) struct AdamPiece<'a, T> {
    pub(super) shrink: T,
    pub(super) penalty: T,
    pub(super) gradient: &'a [T],
    pub(super) value: &'a mut [T],
    pub(super) moments: [&'a mut [T]; 2],
}

impl<T: Real> Split for AdamPiece<'_, T> {
    fn split(self, row: usize) -> (Self, Self) {
        let Self { shrink, penalty, gradient, value, moments: [first, second] } = self;
        let gradients = gradient.split_at(row);
        let values = value.split_at_mut(row);
        let (firsts, seconds) = (first.split_at_mut(row), second.split_at_mut(row));
        (
            Self { shrink, penalty, gradient: gradients.0, value: values.0, moments: [firsts.0, seconds.0] },
            Self { shrink, penalty, gradient: gradients.1, value: values.1, moments: [firsts.1, seconds.1] },
        )
    }
}

/// One step of Adam, in place, over pieces, each with its length; gradients are multiplied by `scale`.
pub(super) fn adam<T: Real>(step: AdamStep, scale: f64, pieces: Vec<(usize, AdamPiece<'_, T>)>) {
    let [beta_1, beta_2] = step.betas.map(T::from_f64);
    let [rest_1, rest_2] = step.betas.map(|beta| T::from_f64(1.0 - beta));
    let [rate, scale, epsilon] = [step.rate, scale, step.epsilon].map(T::from_f64);
    let inverse_correction = T::from_f64(1.0 / step.root_correction);
    in_one_pass(pieces, 5, |piece| {
        let AdamPiece { shrink, penalty, gradient, value, moments: [first, second] } = piece;
        simd(
            #[inline(always)]
            || {
                for ((w, g), (m, v)) in value.iter_mut().zip(gradient).zip(first.iter_mut().zip(second)) {
                    let g = scale * *g + penalty * *w;
                    *m = beta_1 * *m + rest_1 * g;
                    *v = beta_2 * *v + rest_2 * g * g;
                    *w = shrink * *w - rate * *m / (v.sqrt() * inverse_correction + epsilon);
                }
            },
        );
    });
}

/// Part of a parameter in a step of gradient descent.
pub(super) struct SgdPiece<'a, T> {
    pub(super) decay: T,
    pub(super) gradient: &'a [T],
    pub(super) value: &'a mut [T],
    /// As long as the others, or empty.
    pub(super) velocity: &'a mut [T],
}

impl<T: Real> Split for SgdPiece<'_, T> {
    fn split(self, row: usize) -> (Self, Self) {
        let Self { decay, gradient, value, velocity } = self;
        let (gradients, values) = (gradient.split_at(row), value.split_at_mut(row));
        let velocities = velocity.split_at_mut(row.min(velocity.len()));
        (
            Self { decay, gradient: gradients.0, value: values.0, velocity: velocities.0 },
            Self { decay, gradient: gradients.1, value: values.1, velocity: velocities.1 },
        )
    }
}

/// One step of gradient descent, in place, over pieces, each with its length; gradients are multiplied by `scale`.
pub(super) fn sgd<T: Real>(step: SgdStep, scale: f64, pieces: Vec<(usize, SgdPiece<'_, T>)>) {
    if step.momentum == 0.0 { descend(step, scale, pieces) } else { descend_with_momentum(step, scale, pieces) }
}

fn descend<T: Real>(step: SgdStep, scale: f64, pieces: Vec<(usize, SgdPiece<'_, T>)>) {
    let [rate, scale] = [step.rate, scale].map(T::from_f64);
    in_one_pass(pieces, 2, |SgdPiece { decay, gradient, value, .. }| {
        simd(
            #[inline(always)]
            || value.iter_mut().zip(gradient).for_each(|(w, g)| *w = *w - rate * (scale * *g + decay * *w)),
        );
    });
}

fn descend_with_momentum<T: Real>(step: SgdStep, scale: f64, pieces: Vec<(usize, SgdPiece<'_, T>)>) {
    let [rate, momentum, scale] = [step.rate, step.momentum, scale].map(T::from_f64);
    // Without a branch in the loop: Nesterov's step goes along g + momentum b, the other one along b.
    let [of_gradient, of_velocity] = if step.nesterov { [T::ONE, momentum] } else { [T::ZERO, T::ONE] };
    in_one_pass(pieces, 4, |SgdPiece { decay, gradient, value, velocity }| {
        simd(
            #[inline(always)]
            || {
                for ((w, g), b) in value.iter_mut().zip(gradient).zip(velocity.iter_mut()) {
                    let g = scale * *g + decay * *w;
                    *b = momentum * *b + g;
                    *w = *w - rate * (of_gradient * g + of_velocity * *b);
                }
            },
        );
    });
}

/// The sum of the squares of all numbers.
pub(super) fn sum_of_squares<T: Real>(tensors: Vec<&[T]>) -> f64 {
    let pieces: Vec<_> = tensors.into_iter().map(|numbers| (numbers.len(), numbers)).collect();
    let count = pieces.iter().map(|(length, _)| length).sum();
    // In double precision: the norm of many parameters is a sum of tens of millions of numbers.
    let total = sum_of_rows::<f64, _>(count, 1, 1, Joined(pieces), |_, pieces, total| {
        for (_, numbers) in pieces.0 {
            simd(
                #[inline(always)]
                || {
                    for block in numbers.chunks(1024) {
                        total[0] += sum(block, |x| x * x).to_f64();
                    }
                },
            );
        }
    });
    total[0]
}

/// Calls `body` with all pieces, which the threads share as one row of numbers; each is worth reading and writing
/// `work`.
fn in_one_pass<S: Split>(pieces: Vec<(usize, S)>, work: usize, body: impl Fn(S) + Sync) {
    let count = pieces.iter().map(|(length, _)| length).sum();
    for_rows(count, work, Joined(pieces), |_, pieces| pieces.0.into_iter().for_each(|(_, piece)| body(piece)));
}
