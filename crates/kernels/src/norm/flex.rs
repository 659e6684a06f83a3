//! Between Burn's CPU tensors and the bodies.

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;

use super::cpu::{self, NormKind};
use super::{NormGradients, NormOps};
use crate::flex::{Number, contiguous, numbers, sizes, tensor, with_number};

impl NormOps for Flex {
    fn layer_norm(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        Self::biased_layer_norm_keeping(input, weight, bias, epsilon).0
    }

    fn unbiased_layer_norm(input: FloatTensor<Self>, weight: FloatTensor<Self>, epsilon: f64) -> FloatTensor<Self> {
        Self::norm_keeping(input, weight, NormKind::Layer, epsilon).0
    }

    fn rms_norm(input: FloatTensor<Self>, weight: FloatTensor<Self>, epsilon: f64) -> FloatTensor<Self> {
        Self::norm_keeping(input, weight, NormKind::Rms, epsilon).0
    }
}

impl NormGradients for Flex {
    fn norm_keeping(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        kind: NormKind,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        with_number!(input, T => forward::<T>(input, weight, None, kind, epsilon))
    }

    fn biased_layer_norm_keeping(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        with_number!(input, T => forward::<T>(input, weight, Some(bias), NormKind::Layer, epsilon))
    }

    fn norm_backward(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        statistics: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        kind: NormKind,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        with_number!(input, T => backward::<T>(input, weight, statistics, gradient, kind))
    }
}

fn forward<T: Number>(
    input: FlexTensor,
    weight: FlexTensor,
    bias: Option<FlexTensor>,
    kind: NormKind,
    epsilon: f64,
) -> (FlexTensor, FlexTensor) {
    let (input, weight, bias) = (contiguous(input), contiguous(weight), bias.map(contiguous));
    let [rows, width] = sizes(&input);
    let (mut output, mut statistics) = (vec![T::ZERO; rows * width], vec![T::ZERO; rows * 2]);
    let (weight, bias) = (numbers(&weight), bias.as_ref().map(numbers));
    cpu::norm(numbers(&input), weight, bias, (kind, epsilon), [&mut output, &mut statistics]);
    (tensor(output, [rows, width]), tensor(statistics, [rows, 2]))
}

fn backward<T: Number>(
    input: FlexTensor,
    weight: FlexTensor,
    statistics: FlexTensor,
    gradient: FlexTensor,
    kind: NormKind,
) -> (FlexTensor, FlexTensor, FlexTensor) {
    let tensors = [input, weight, statistics, gradient].map(contiguous);
    let [rows, width] = sizes(&tensors[0]);
    let mut found = vec![T::ZERO; rows * width];
    let sums = cpu::norm_backward(tensors.each_ref().map(numbers::<T>), kind, &mut found);
    let (weight_gradient, bias_gradient) = sums.split_at(width);
    (tensor(found, [rows, width]), tensor(weight_gradient.to_vec(), [width]), tensor(bias_gradient.to_vec(), [width]))
}
