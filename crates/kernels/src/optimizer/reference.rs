//! The compositions of Burn's operations.

use burn::tensor::Tensor;

use super::{AdamStep, SgdStep};

/// As [`crate::adam_step`].
pub fn adam_step(
    step: AdamStep,
    value: Tensor<1>,
    gradient: Tensor<1>,
    first: Tensor<1>,
    second: Tensor<1>,
) -> [Tensor<1>; 3] {
    let AdamStep { betas: [beta_1, beta_2], epsilon, rate, root_correction, shrink } = step;
    let first = first * beta_1 + gradient.clone() * (1.0 - beta_1);
    let second = second * beta_2 + gradient.square() * (1.0 - beta_2);
    let move_by = first.clone() * rate / (second.clone().sqrt() / root_correction + epsilon);
    let value = if shrink == 1.0 { value } else { value * shrink };
    [value - move_by, first, second]
}

pub(super) fn descend(value: Tensor<1>, gradient: Tensor<1>, rate: f64, weight_decay: f64) -> Tensor<1> {
    let gradient = penalised(gradient, &value, weight_decay);
    value - gradient * rate
}

/// As [`crate::sgd_step`].
pub fn sgd_step(step: SgdStep, value: Tensor<1>, gradient: Tensor<1>, velocity: Tensor<1>) -> (Tensor<1>, Tensor<1>) {
    let SgdStep { rate, momentum, nesterov, weight_decay } = step;
    let gradient = penalised(gradient, &value, weight_decay);
    let velocity = velocity * momentum + gradient.clone();
    let direction = if nesterov { gradient + velocity.clone() * momentum } else { velocity.clone() };
    (value - direction * rate, velocity)
}

/// g + lambda w.
fn penalised(gradient: Tensor<1>, value: &Tensor<1>, weight_decay: f64) -> Tensor<1> {
    if weight_decay == 0.0 { gradient } else { gradient + value.clone() * weight_decay }
}

/// As [`crate::sum_of_squares`].
pub fn sum_of_squares<const D: usize>(values: Tensor<D>) -> Tensor<1> {
    values.square().sum()
}
