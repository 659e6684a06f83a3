//! Between Burn's CPU tensors and the bodies; tensors that nothing else holds are written in place.

use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;

use super::cpu::{self, AdamPiece, AdamStep, SgdPiece, SgdStep};
use crate::flex::{Number, contiguous, numbers, tensor, unwrapped, with_number, wrapped};

/// As [`crate::adam_step`], of values, gradients and moments, each with `shrink` and `penalty`.
pub(super) fn adam_step(step: AdamStep, given: Vec<([Tensor<1>; 4], [f64; 2])>) -> Vec<[Tensor<1>; 3]> {
    let given = given.into_iter().map(|(tensors, decay)| (tensors.map(native), decay));
    let mut given: Vec<_> = given.collect();
    let Some(([value, ..], _)) = given.first() else { return Vec::new() };
    with_number!(value, T => cpu::adam(step, given.iter_mut().map(adam_piece::<T>).collect()));
    given.into_iter().map(|([value, _, first, second], _)| [value, first, second].map(wrapped)).collect()
}

fn adam_piece<T: Number>(parameter: &mut ([FlexTensor; 4], [f64; 2])) -> (usize, AdamPiece<'_, T>) {
    let ([value, gradient, first, second], decay) = parameter;
    let [shrink, penalty] = decay.map(T::from_f64);
    let (gradient, value) = (numbers::<T>(gradient), value.storage_mut::<T>());
    let moments = [first.storage_mut::<T>(), second.storage_mut::<T>()];
    (gradient.len(), AdamPiece { shrink, penalty, gradient, value, moments })
}

/// A value, its gradient, its velocity if there is momentum, and its decay.
type Descent<T> = (T, T, Option<T>, f64);

/// As [`crate::sgd_step`], with a velocity for each parameter if there is momentum.
pub(super) fn sgd_step(step: SgdStep, given: Vec<Descent<Tensor<1>>>) -> Vec<(Tensor<1>, Option<Tensor<1>>)> {
    let given = given
        .into_iter()
        .map(|(value, gradient, velocity, decay)| (native(value), native(gradient), velocity.map(native), decay));
    let mut given: Vec<Descent<FlexTensor>> = given.collect();
    let Some((value, ..)) = given.first() else { return Vec::new() };
    with_number!(value, T => cpu::sgd(step, given.iter_mut().map(sgd_piece::<T>).collect()));
    given.into_iter().map(|(value, _, velocity, _)| (wrapped(value), velocity.map(wrapped))).collect()
}

fn sgd_piece<T: Number>((value, gradient, velocity, decay): &mut Descent<FlexTensor>) -> (usize, SgdPiece<'_, T>) {
    let (gradient, value) = (numbers::<T>(gradient), value.storage_mut::<T>());
    let velocity = velocity.as_mut().map_or_else(Default::default, |velocity| velocity.storage_mut::<T>());
    (gradient.len(), SgdPiece { decay: T::from_f64(*decay), gradient, value, velocity })
}

/// As [`crate::sum_of_squares`].
pub(super) fn sum_of_squares(tensors: Vec<Tensor<1>>) -> Tensor<1> {
    let tensors: Vec<_> = tensors.into_iter().map(native).collect();
    with_number!(tensors[0], T => squares::<T>(&tensors))
}

fn squares<T: Number>(tensors: &[FlexTensor]) -> Tensor<1> {
    let total = cpu::sum_of_squares(tensors.iter().map(numbers::<T>).collect());
    wrapped(tensor(vec![T::from_f64(total)], [1]))
}

fn native(tensor: Tensor<1>) -> FlexTensor {
    contiguous(unwrapped(tensor))
}
