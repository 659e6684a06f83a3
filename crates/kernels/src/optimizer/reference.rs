//! The compositions of Burn's operations, parameter by parameter.

use burn::tensor::Tensor;

use super::cpu::{AdamStep, SgdStep};
use super::guard::GradientScale;

/// As [`crate::adam_step`], of a value, its gradient and its moments, with `shrink` and `penalty`.
pub fn adam_step(
    step: AdamStep,
    scale: &GradientScale,
    tensors: [Tensor<1>; 4],
    [shrink, penalty]: [f64; 2],
) -> [Tensor<1>; 3] {
    let AdamStep { betas: [beta_1, beta_2], epsilon, rate, root_correction } = step;
    let [value, gradient, first, second] = tensors;
    let before = [value.clone(), first.clone(), second.clone()];
    let gradient = penalised(scale.scaled(gradient), &value, penalty);
    let first = first * beta_1 + gradient.clone() * (1.0 - beta_1);
    let second = second * beta_2 + gradient.square() * (1.0 - beta_2);
    let move_by = first.clone() * rate / (second.clone().sqrt() / root_correction + epsilon);
    let [old_value, old_first, old_second] = before;
    [
        scale.chosen(times(value, shrink) - move_by, old_value),
        scale.chosen(first, old_first),
        scale.chosen(second, old_second),
    ]
}

/// As [`crate::sgd_step`], of one parameter.
pub fn sgd_step(
    step: SgdStep,
    scale: &GradientScale,
    value: Tensor<1>,
    gradient: Tensor<1>,
    velocity: Option<Tensor<1>>,
    weight_decay: f64,
) -> (Tensor<1>, Option<Tensor<1>>) {
    let SgdStep { rate, momentum, nesterov } = step;
    let before = velocity.clone();
    let gradient = penalised(scale.scaled(gradient), &value, weight_decay);
    let velocity = velocity.map(|velocity| velocity * momentum + gradient.clone());
    let direction = match &velocity {
        Some(velocity) if nesterov => gradient + velocity.clone() * momentum,
        Some(velocity) => velocity.clone(),
        None => gradient,
    };
    let moved = value.clone() - direction * rate;
    (scale.chosen(moved, value), velocity.zip(before).map(|(new, old)| scale.chosen(new, old)))
}

/// As [`crate::sum_of_squares`].
pub fn sum_of_squares(tensors: Vec<Tensor<1>>) -> Tensor<1> {
    let sums: Vec<Tensor<1>> = tensors.into_iter().map(|tensor| tensor.square().sum()).collect();
    Tensor::cat(sums, 0).sum()
}

/// As the state of [`crate::Guard::new`].
pub(super) fn guard(numbers: Tensor<1>, limit: Option<f64>, before: Option<Tensor<1>>) -> Tensor<1> {
    let numbers = numbers.narrow(0, 0, 2);
    let norm = numbers.clone().narrow(0, 1, 1);
    let factor = match limit {
        Some(limit) => norm.add_scalar(1e-6).recip().mul_scalar(limit).clamp_max(1.0),
        None => norm.ones_like(),
    };
    let is_made = numbers.clone().is_finite().all().float().cast(numbers.dtype());
    let is_made = match before {
        Some(before) => is_made * before.narrow(0, 1, 1),
        None => is_made,
    };
    Tensor::cat(vec![factor, is_made], 0)
}

/// g + lambda w.
fn penalised(gradient: Tensor<1>, value: &Tensor<1>, lambda: f64) -> Tensor<1> {
    if lambda == 0.0 { gradient } else { gradient + value.clone() * lambda }
}

/// The tensor times a number, without an operation if that is 1.
fn times(tensor: Tensor<1>, factor: f64) -> Tensor<1> {
    if factor == 1.0 { tensor } else { tensor * factor }
}
