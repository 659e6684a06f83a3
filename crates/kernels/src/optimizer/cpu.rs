//! The CPU bodies: all parameters as one row of numbers, cut over the threads, in place where nobody else holds a tensor.

use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;

use super::{AdamStep, SgdStep};
use crate::cpu::reduce::sum;
use crate::cpu::{Joined, Split, for_rows, simd, sum_of_rows};
use crate::flex::{Number, contiguous, numbers, tensor, unwrapped, with_number, wrapped};

/// As [`crate::adam_step`], of values, gradients and moments, each with `shrink` and `penalty`.
pub(super) fn adam_step(step: AdamStep, given: Vec<([Tensor<1>; 4], [f64; 2])>) -> Vec<[Tensor<1>; 3]> {
    let given = given.into_iter().map(|(tensors, decay)| (tensors.map(|tensor| contiguous(unwrapped(tensor))), decay));
    let mut given: Vec<_> = given.collect();
    let Some(([value, ..], _)) = given.first() else { return Vec::new() };
    with_number!(value, T => adam::<T>(step, &mut given));
    given.into_iter().map(|([value, _, first, second], _)| [value, first, second].map(wrapped)).collect()
}

/// Part of a parameter in a step of Adam.
struct AdamPiece<'a, T> {
    shrink: T,
    penalty: T,
    gradient: &'a [T],
    value: &'a mut [T],
    moments: [&'a mut [T]; 2],
}

impl<T: Number> Split for AdamPiece<'_, T> {
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

fn adam<T: Number>(step: AdamStep, given: &mut [([FlexTensor; 4], [f64; 2])]) {
    let [beta_1, beta_2] = step.betas.map(T::from_f64);
    let [rest_1, rest_2] = step.betas.map(|beta| T::from_f64(1.0 - beta));
    let [rate, scale, epsilon] = [step.rate, step.gradient_scale, step.epsilon].map(T::from_f64);
    let inverse_correction = T::from_f64(1.0 / step.root_correction);
    let pieces = given.iter_mut().map(|([value, gradient, first, second], decay)| {
        let [shrink, penalty] = decay.map(T::from_f64);
        let (gradient, value) = (numbers::<T>(gradient), value.storage_mut::<T>());
        let moments = [first.storage_mut::<T>(), second.storage_mut::<T>()];
        (gradient.len(), AdamPiece { shrink, penalty, gradient, value, moments })
    });
    in_one_pass(pieces.collect(), 5, |piece| {
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

/// A value, its gradient, its velocity where there is momentum, and its decay.
type Descent<T> = (T, T, Option<T>, f64);

/// As [`crate::sgd_step`], with a velocity for each parameter if there is momentum.
pub(super) fn sgd_step(step: SgdStep, given: Vec<Descent<Tensor<1>>>) -> Vec<(Tensor<1>, Option<Tensor<1>>)> {
    let native = |tensor| contiguous(unwrapped(tensor));
    let given = given
        .into_iter()
        .map(|(value, gradient, velocity, decay)| (native(value), native(gradient), velocity.map(native), decay));
    let mut given: Vec<Descent<FlexTensor>> = given.collect();
    let Some((value, ..)) = given.first() else { return Vec::new() };
    let has_momentum = step.momentum != 0.0;
    with_number!(value, T => if has_momentum { sgd::<T>(step, &mut given) } else { descend::<T>(step, &mut given) });
    given.into_iter().map(|(value, _, velocity, _)| (wrapped(value), velocity.map(wrapped))).collect()
}

/// Part of a parameter in a step of gradient descent.
struct SgdPiece<'a, T> {
    decay: T,
    gradient: &'a [T],
    value: &'a mut [T],
    /// As long as the others, or empty.
    velocity: &'a mut [T],
}

impl<T: Number> Split for SgdPiece<'_, T> {
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

fn sgd_pieces<T: Number>(given: &mut [Descent<FlexTensor>]) -> Vec<(usize, SgdPiece<'_, T>)> {
    let pieces = given.iter_mut().map(|(value, gradient, velocity, decay)| {
        let (gradient, value) = (numbers::<T>(gradient), value.storage_mut::<T>());
        let velocity = velocity.as_mut().map_or_else(Default::default, |velocity| velocity.storage_mut::<T>());
        (gradient.len(), SgdPiece { decay: T::from_f64(*decay), gradient, value, velocity })
    });
    pieces.collect()
}

fn descend<T: Number>(step: SgdStep, given: &mut [Descent<FlexTensor>]) {
    let [rate, scale] = [step.rate, step.gradient_scale].map(T::from_f64);
    in_one_pass(sgd_pieces::<T>(given), 2, |SgdPiece { decay, gradient, value, .. }| {
        simd(
            #[inline(always)]
            || value.iter_mut().zip(gradient).for_each(|(w, g)| *w = *w - rate * (scale * *g + decay * *w)),
        );
    });
}

fn sgd<T: Number>(step: SgdStep, given: &mut [Descent<FlexTensor>]) {
    let [rate, momentum, scale] = [step.rate, step.momentum, step.gradient_scale].map(T::from_f64);
    // Without a branch in the loop: Nesterov's step goes along g + momentum b, the other one along b.
    let [of_gradient, of_velocity] = if step.nesterov { [T::ONE, momentum] } else { [T::ZERO, T::ONE] };
    in_one_pass(sgd_pieces::<T>(given), 4, |SgdPiece { decay, gradient, value, velocity }| {
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

/// As [`crate::sum_of_squares`].
pub(super) fn sum_of_squares(tensors: Vec<Tensor<1>>) -> Tensor<1> {
    let tensors: Vec<_> = tensors.into_iter().map(|tensor| contiguous(unwrapped(tensor))).collect();
    with_number!(tensors[0], T => squares::<T>(&tensors))
}

fn squares<T: Number>(tensors: &[FlexTensor]) -> Tensor<1> {
    let pieces: Vec<_> = tensors.iter().map(numbers::<T>).map(|numbers| (numbers.len(), numbers)).collect();
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
    wrapped(tensor(vec![T::from_f64(total[0])], [1]))
}

/// Calls `body` with all pieces, which the threads share as one row of numbers; each is worth reading and writing `work`.
fn in_one_pass<S: Split>(pieces: Vec<(usize, S)>, work: usize, body: impl Fn(S) + Sync) {
    let count = pieces.iter().map(|(length, _)| length).sum();
    for_rows(count, work, Joined(pieces), |_, pieces| pieces.0.into_iter().for_each(|(_, piece)| body(piece)));
}
