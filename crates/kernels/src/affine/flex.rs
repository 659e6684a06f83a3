//! Between Burn's CPU tensors and the bodies.

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;

use super::{AffineGradients, AffineOps, Optional, cpu};
use crate::cpu::Matrix;
use crate::flex::{Number, contiguous, numbers, sizes, tensor, viewed, with_number};

impl AffineOps for Flex {
    fn affine(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Optional<Self>,
        residual: Optional<Self>,
    ) -> FloatTensor<Self> {
        let (bias, residual) = (bias.into_option().map(contiguous), residual.into_option().map(contiguous));
        with_number!(input, T => forward::<T>(input, weight, bias, residual))
    }
}

impl AffineGradients for Flex {
    fn affine_backward(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        wanted: [bool; 3],
    ) -> [Option<FloatTensor<Self>>; 3] {
        with_number!(input, T => backward::<T>(input, weight, gradient, wanted))
    }
}

fn forward<T: Number>(
    input: FlexTensor,
    weight: FlexTensor,
    bias: Option<FlexTensor>,
    residual: Option<FlexTensor>,
) -> FlexTensor {
    let ([rows, _], [_, width]) = (sizes(&input), sizes(&weight));
    let (bias, residual) = (bias.as_ref().map(numbers::<T>), residual.as_ref().map(numbers));
    let output = viewed(input, |input| viewed(weight, |weight| cpu::affine(input, weight, bias, residual)));
    tensor(output, [rows, width])
}

fn backward<T: Number>(
    input: FlexTensor,
    weight: FlexTensor,
    gradient: FlexTensor,
    [wants_input, wants_weight, wants_bias]: [bool; 3],
) -> [Option<FlexTensor>; 3] {
    let ([rows, inner], [_, width]) = (sizes(&input), sizes(&weight));
    let gradient = contiguous(gradient);
    let output_gradient = Matrix::<T>::new(numbers(&gradient), rows, width);
    let bias_gradient = wants_bias.then(|| tensor(cpu::bias_gradient::<T>(numbers(&gradient), width), [width]));
    let is_transposed = weight.layout().strides()[0] == 1 && width > 1;
    let weight_gradient = wants_weight.then(|| {
        viewed(input, |input| {
            // In the order of the weight's own storage, so that both are walked through together later.
            if is_transposed {
                tensor(cpu::transposed_weight_gradient(input, output_gradient), [width, inner]).transpose(0, 1)
            } else {
                tensor(cpu::weight_gradient(input, output_gradient), [inner, width])
            }
        })
    });
    let input_gradient = wants_input
        .then(|| viewed(weight, |weight| tensor(cpu::input_gradient(output_gradient, weight), [rows, inner])));
    [input_gradient, weight_gradient, bias_gradient]
}
