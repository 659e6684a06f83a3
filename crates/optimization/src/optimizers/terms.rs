//! The terms that several rules share: weight decay, and running means.

use burn::tensor::Tensor;

use super::{ParameterView, Rate};

/// How weights decay; matrices only.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Decay {
    /// By a penalty in the gradient, g + lambda w.
    Penalty(f64),
    /// Beside it, (1 - eta lambda) w.
    Decoupled(f64),
}

/// The gradient with an L2 penalty for matrices: g + lambda w.
pub(super) fn penalised(
    parameter: ParameterView<'_>,
    gradient: Tensor<1>,
    value: &Tensor<1>,
    lambda: f64,
) -> Tensor<1> {
    if parameter.role.is_matrix() && lambda != 0.0 { gradient.add(value.clone().mul_scalar(lambda)) } else { gradient }
}

/// Decoupled weight decay of matrices, (1 - eta lambda) w.
pub(super) fn decayed(parameter: ParameterView<'_>, value: Tensor<1>, lambda: f64, rate: &Rate) -> Tensor<1> {
    if parameter.role.is_matrix() && lambda != 0.0 { rate.decayed(value, lambda) } else { value }
}

/// beta mean + (1 - beta) next, from a mean of 0 if there is none yet.
pub(super) fn running_mean(mean: Option<Tensor<1>>, next: Tensor<1>, beta: f64) -> Tensor<1> {
    let term = next.mul_scalar(1.0 - beta);
    match mean {
        Some(mean) => mean.mul_scalar(beta).add(term),
        None => term,
    }
}
