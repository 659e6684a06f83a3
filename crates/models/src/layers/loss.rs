//! The head and the loss together.

use burn::tensor::{Int, Tensor};
use kiln_kernels::{affine, cross_entropy, projected_cross_entropy};

/// Logits that take more room than this, in numbers, never exist all at once: 128 MiB in single precision.
const LARGE: usize = 1 << 25;

/// Cross-entropy of the logits `hidden weight + bias`, nats, `[N]`, from `[N, C]`, `[C, V]`, `[V]` and `[N]`.
pub(crate) fn losses_of_projection(
    hidden: Tensor<2>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    targets: Tensor<1, Int>,
) -> Tensor<1> {
    let ([rows, _], [_, vocabulary]) = (hidden.dims(), weight.dims());
    if rows.saturating_mul(vocabulary) > LARGE {
        projected_cross_entropy(hidden, weight, bias, targets)
    } else {
        cross_entropy(affine(hidden, weight, bias, None), targets)
    }
}
