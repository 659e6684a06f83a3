//! The compositions of Burn's operations, parameter by parameter.

use burn::tensor::Tensor;

use super::cpu::{AdamStep, SgdStep};

/// As [`crate::adam_step`], of a value, its gradient and its moments, with `shrink` and `penalty`.
pub fn adam_step(step: AdamStep, tensors: [Tensor<1>; 4], [shrink, penalty]: [f64; 2]) -> [Tensor<1>; 3] {
    let AdamStep { betas: [beta_1, beta_2], epsilon, rate, root_correction, gradient_scale } = step;
    let [value, gradient, first, second] = tensors;
    let gradient = penalised(times(gradient, gradient_scale), &value, penalty);
    let first = first * beta_1 + gradient.clone() * (1.0 - beta_1);
    let second = second * beta_2 + gradient.square() * (1.0 - beta_2);
    let move_by = first.clone() * rate / (second.clone().sqrt() / root_correction + epsilon);
    [times(value, shrink) - move_by, first, second]
}

/// As [`crate::sgd_step`], of one parameter.
pub fn sgd_step(
    step: SgdStep,
    value: Tensor<1>,
    gradient: Tensor<1>,
    velocity: Option<Tensor<1>>,
    weight_decay: f64,
) -> (Tensor<1>, Option<Tensor<1>>) {
    let SgdStep { rate, momentum, nesterov, gradient_scale } = step;
    let gradient = penalised(times(gradient, gradient_scale), &value, weight_decay);
    let velocity = velocity.map(|velocity| velocity * momentum + gradient.clone());
    let direction = match &velocity {
        Some(velocity) if nesterov => gradient + velocity.clone() * momentum,
        Some(velocity) => velocity.clone(),
        None => gradient,
    };
    (value - direction * rate, velocity)
}

/// As [`crate::sum_of_squares`].
pub fn sum_of_squares(tensors: Vec<Tensor<1>>) -> Tensor<1> {
    let sums: Vec<Tensor<1>> = tensors.into_iter().map(|tensor| tensor.square().sum()).collect();
    Tensor::cat(sums, 0).sum()
}

/// g + lambda w.
fn penalised(gradient: Tensor<1>, value: &Tensor<1>, lambda: f64) -> Tensor<1> {
    if lambda == 0.0 { gradient } else { gradient + value.clone() * lambda }
}

/// The tensor times a number, without an operation if that is 1.
fn times(tensor: Tensor<1>, factor: f64) -> Tensor<1> {
    if factor == 1.0 { tensor } else { tensor * factor }
}
