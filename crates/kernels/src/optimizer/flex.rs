//! Between Burn's CPU tensors and the bodies; tensors that nothing else holds are written in place.

use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;

use super::cpu::{self, AdamPiece, AdamStep, SgdPiece, SgdStep};
use super::guard::{GradientScale, clip_coefficient};
use crate::cpu::Real;
use crate::flex::{Number, contiguous, numbers, tensor, unwrapped, with_number, wrapped};

/// As [`crate::adam_step`], of values, gradients and moments, each with `shrink` and `penalty`.
pub(super) fn adam_step(
    step: AdamStep,
    scale: &GradientScale,
    given: Vec<([Tensor<1>; 4], [f64; 2])>,
) -> Vec<[Tensor<1>; 3]> {
    let Some(scale) = factor(scale) else {
        return given.into_iter().map(|([value, _, first, second], _)| [value, first, second]).collect();
    };
    let given = given.into_iter().map(|(tensors, decay)| (tensors.map(native), decay));
    let mut given: Vec<_> = given.collect();
    let Some(([value, ..], _)) = given.first() else { return Vec::new() };
    with_number!(value, T => cpu::adam(step, scale, given.iter_mut().map(adam_piece::<T>).collect()));
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
pub(super) fn sgd_step(
    step: SgdStep,
    scale: &GradientScale,
    given: Vec<Descent<Tensor<1>>>,
) -> Vec<(Tensor<1>, Option<Tensor<1>>)> {
    let Some(scale) = factor(scale) else {
        return given.into_iter().map(|(value, _, velocity, _)| (value, velocity)).collect();
    };
    let given = given
        .into_iter()
        .map(|(value, gradient, velocity, decay)| (native(value), native(gradient), velocity.map(native), decay));
    let mut given: Vec<Descent<FlexTensor>> = given.collect();
    let Some((value, ..)) = given.first() else { return Vec::new() };
    with_number!(value, T => cpu::sgd(step, scale, given.iter_mut().map(sgd_piece::<T>).collect()));
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

/// What gradients are multiplied by; `None` if the step is not made.
fn factor(scale: &GradientScale) -> Option<f64> {
    match scale {
        GradientScale::Number(factor) => Some(*factor),
        GradientScale::Guarded(guard) => {
            let state = on_host(guard.state().clone());
            (state[1] == 1.0).then_some(state[0])
        }
    }
}

/// As the state of [`crate::Guard::new`], which is computed in double precision.
pub(super) fn guard(numbers: Tensor<1>, limit: Option<f64>, before: Option<Tensor<1>>) -> Tensor<1> {
    let numbers = native(numbers);
    with_number!(numbers, T => {
        let values = on_host(wrapped(numbers));
        let is_made = values[..2].iter().all(|number| number.is_finite())
            && before.is_none_or(|before| on_host(before)[1] == 1.0);
        let state = [clip_coefficient(values[1], limit), f64::from(u8::from(is_made))];
        wrapped(tensor(state.map(T::from_f64).to_vec(), [2]))
    })
}

fn on_host(tensor: Tensor<1>) -> Vec<f64> {
    let tensor = native(tensor);
    with_number!(tensor, T => numbers::<T>(&tensor).iter().map(|number| number.to_f64()).collect())
}

fn native(tensor: Tensor<1>) -> FlexTensor {
    contiguous(unwrapped(tensor))
}
