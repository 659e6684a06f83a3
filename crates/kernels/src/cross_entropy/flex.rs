//! Between Burn's CPU tensors and the bodies.

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::{FloatTensor, IntTensor};

use super::cpu::{gradients_of_rows, losses_of_rows};
use super::projected_cpu::Projection;
use super::{
    CrossEntropyGradients, CrossEntropyOps, ProjectedCrossEntropyGradients, ProjectedCrossEntropyOps, ProjectedOperands,
};
use crate::cpu::Matrix;
use crate::flex::{Number, contiguous, indices, numbers, sizes, tensor, viewed, with_number};

impl CrossEntropyOps for Flex {
    fn cross_entropy(logits: FloatTensor<Self>, targets: IntTensor<Self>) -> FloatTensor<Self> {
        Self::cross_entropy_keeping(logits, targets).0
    }
}

impl ProjectedCrossEntropyOps for Flex {
    fn projected_cross_entropy(
        hidden: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        targets: IntTensor<Self>,
    ) -> FloatTensor<Self> {
        Self::projected_cross_entropy_keeping(hidden, weight, bias, targets).0
    }
}

impl CrossEntropyGradients for Flex {
    fn cross_entropy_keeping(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        with_number!(logits, T => forward::<T>(logits, targets))
    }

    fn cross_entropy_backward(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
        logarithms: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        with_number!(logits, T => backward::<T>(logits, targets, logarithms, gradient))
    }
}

impl ProjectedCrossEntropyGradients for Flex {
    fn projected_cross_entropy_keeping(
        hidden: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        targets: IntTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let operands = ProjectedOperands::<Self> { hidden, weight, bias, targets };
        with_number!(operands.hidden, T => projected_forward::<T>(operands))
    }

    fn projected_cross_entropy_backward(
        operands: ProjectedOperands<Self>,
        logarithms: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 3] {
        with_number!(operands.hidden, T => projected_backward::<T>(operands, logarithms, gradient))
    }
}

fn forward<T: Number>(logits: FlexTensor, targets: FlexTensor) -> (FlexTensor, FlexTensor) {
    let logits = contiguous(logits);
    let [rows, vocabulary] = sizes(&logits);
    let targets = indices(&targets, vocabulary, "target");
    let (mut losses, mut logarithms) = (vec![T::ZERO; rows], vec![T::ZERO; rows]);
    losses_of_rows(numbers(&logits), vocabulary, &targets, &mut losses, &mut logarithms);
    (tensor(losses, [rows]), tensor(logarithms, [rows]))
}

fn backward<T: Number>(
    logits: FlexTensor,
    targets: FlexTensor,
    logarithms: FlexTensor,
    gradient: FlexTensor,
) -> FlexTensor {
    let (logits, gradient) = (contiguous(logits), contiguous(gradient));
    let [rows, vocabulary] = sizes(&logits);
    let targets = indices(&targets, vocabulary, "target");
    let mut found = vec![T::ZERO; rows * vocabulary];
    let kept = [numbers(&logarithms), numbers(&gradient)];
    gradients_of_rows(numbers(&logits), vocabulary, &targets, kept, &mut found);
    tensor(found, [rows, vocabulary])
}

/// Runs `body` with views of what the logits come from.
fn with_projection<T: Number, Output>(
    operands: ProjectedOperands<Flex>,
    body: impl FnOnce(Projection<'_, T>) -> Output,
) -> Output {
    let ProjectedOperands { hidden, weight, bias, targets } = operands;
    let ([rows, inner], [_, vocabulary]) = (sizes(&hidden), sizes(&weight));
    let targets = indices(&targets, vocabulary, "target");
    let (hidden, bias) = (contiguous(hidden), contiguous(bias));
    let hidden = Matrix::new(numbers(&hidden), rows, inner);
    viewed(weight, |weight| body(Projection { hidden, weight, bias: numbers(&bias), targets: &targets }))
}

fn projected_forward<T: Number>(operands: ProjectedOperands<Flex>) -> (FlexTensor, FlexTensor) {
    let [losses, logarithms] = with_projection::<T, _>(operands, |projection| projection.losses());
    let rows = losses.len();
    (tensor(losses, [rows]), tensor(logarithms, [rows]))
}

fn projected_backward<T: Number>(
    operands: ProjectedOperands<Flex>,
    logarithms: FlexTensor,
    gradient: FlexTensor,
) -> [FlexTensor; 3] {
    let ([rows, inner], [_, vocabulary]) = (sizes(&operands.hidden), sizes(&operands.weight));
    let gradient = contiguous(gradient);
    let (logarithms, slopes) = (numbers::<T>(&logarithms), numbers(&gradient));
    let found = with_projection(operands, |projection| projection.gradients(logarithms, slopes));
    [tensor(found.hidden, [rows, inner]), tensor(found.weight, [inner, vocabulary]), tensor(found.bias, [vocabulary])]
}
