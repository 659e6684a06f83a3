//! Products with packed matrices in Burn's graph: the matrix stays as it is, and its input has a gradient.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Flex, backend_extension};
use kiln_packed::PackedMatrix;

use super::cpu;
use crate::autodiff::record;
use crate::flex::{contiguous, indices, numbers, sizes, tensor};

/// The operations as a backend extension.
#[backend_extension(Autodiff, Flex)]
pub(crate) trait PackedOps: Backend {
    /// `[N, in]` to `[N, out]`.
    fn packed_product(input: FloatTensor<Self>, weight: PackedMatrix) -> FloatTensor<Self>;
    /// `[N, C]`, `[V]` and `[N]` to `[N]`.
    fn packed_cross_entropy(
        hidden: FloatTensor<Self>,
        weight: PackedMatrix,
        bias: FloatTensor<Self>,
        targets: IntTensor<Self>,
    ) -> FloatTensor<Self>;
}

/// Their gradients.
pub(crate) trait PackedGradients: Backend {
    /// The gradient of the input.
    fn packed_product_backward(gradient: FloatTensor<Self>, weight: PackedMatrix) -> FloatTensor<Self>;
    /// The losses, and the gradient of each row of what is projected.
    fn packed_cross_entropy_keeping(
        hidden: FloatTensor<Self>,
        weight: PackedMatrix,
        bias: FloatTensor<Self>,
        targets: IntTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
    /// Those gradients times the gradient of their losses.
    fn packed_cross_entropy_backward(slopes: FloatTensor<Self>, gradient: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl PackedOps for Flex {
    fn packed_product(input: FloatTensor<Self>, weight: PackedMatrix) -> FloatTensor<Self> {
        let [rows, _] = sizes(&input);
        let input = contiguous(input);
        tensor(cpu::affine(numbers(&input), rows, &weight, None, None), [rows, weight.outputs()])
    }

    fn packed_cross_entropy(
        hidden: FloatTensor<Self>,
        weight: PackedMatrix,
        bias: FloatTensor<Self>,
        targets: IntTensor<Self>,
    ) -> FloatTensor<Self> {
        losses(hidden, &weight, bias, &targets, false).0
    }
}

impl PackedGradients for Flex {
    fn packed_product_backward(gradient: FloatTensor<Self>, weight: PackedMatrix) -> FloatTensor<Self> {
        let [rows, _] = sizes(&gradient);
        let gradient = contiguous(gradient);
        tensor(cpu::input_gradient(numbers(&gradient), rows, &weight), [rows, weight.inputs()])
    }

    fn packed_cross_entropy_keeping(
        hidden: FloatTensor<Self>,
        weight: PackedMatrix,
        bias: FloatTensor<Self>,
        targets: IntTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        losses(hidden, &weight, bias, &targets, true)
    }

    fn packed_cross_entropy_backward(slopes: FloatTensor<Self>, gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        let (mut slopes, gradient) = (contiguous(slopes), contiguous(gradient));
        let [_, width] = sizes::<2>(&slopes);
        let rows = slopes.storage_mut::<f32>().chunks_exact_mut(width.max(1));
        for (row, factor) in rows.zip(numbers::<f32>(&gradient)) {
            row.iter_mut().for_each(|slope| *slope *= *factor);
        }
        slopes
    }
}

/// The losses, and their slopes if they are wanted.
fn losses(
    hidden: FlexTensor,
    weight: &PackedMatrix,
    bias: FlexTensor,
    targets: &FlexTensor,
    wants_slopes: bool,
) -> (FlexTensor, FlexTensor) {
    let [rows, width] = sizes::<2>(&hidden);
    let (hidden, bias) = (contiguous(hidden), contiguous(bias));
    let targets = indices(targets, weight.outputs(), "target");
    let (losses, slopes) = cpu::losses(numbers(&hidden), weight, numbers(&bias), &targets, wants_slopes);
    (tensor(losses, [rows]), tensor(slopes, [if wants_slopes { rows } else { 0 }, width]))
}

impl<B: PackedOps + PackedGradients, C: CheckpointStrategy> PackedOps for Autodiff<B, C> {
    fn packed_product(input: FloatTensor<Self>, weight: PackedMatrix) -> FloatTensor<Self> {
        let output = B::packed_product(input.primitive().clone(), weight.clone());
        record::<B, C, _, 1>([input.node()], output, weight, |weight, gradient, _| {
            [Some(B::packed_product_backward(gradient, weight))]
        })
    }

    fn packed_cross_entropy(
        hidden: FloatTensor<Self>,
        weight: PackedMatrix,
        bias: FloatTensor<Self>,
        targets: IntTensor<Self>,
    ) -> FloatTensor<Self> {
        let (x, bias) = (hidden.primitive().clone(), bias.into_primitive());
        let (losses, slopes) = B::packed_cross_entropy_keeping(x, weight, bias, targets);
        record::<B, C, _, 1>([hidden.node()], losses, slopes, |slopes, gradient, _| {
            [Some(B::packed_cross_entropy_backward(slopes, gradient))]
        })
    }
}
