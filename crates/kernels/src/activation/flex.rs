//! Between Burn's CPU tensors and the bodies.

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;

use super::cpu::{self, Activation};
use super::{ActivationGradients, ActivationOps};
use crate::flex::{Number, contiguous, numbers, sizes, tensor, with_number};

impl ActivationOps for Flex {
    fn activate(input: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self> {
        with_number!(input, T => activate::<T>(input, activation))
    }

    fn swiglu(input: FloatTensor<Self>) -> FloatTensor<Self> {
        with_number!(input, T => swiglu::<T>(input))
    }
}

impl ActivationGradients for Flex {
    fn activate_backward(
        input: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        with_number!(input, T => activate_backward::<T>(input, gradient, activation))
    }

    fn swiglu_backward(input: FloatTensor<Self>, gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        with_number!(input, T => swiglu_backward::<T>(input, gradient))
    }
}

fn activate<T: Number>(input: FlexTensor, activation: Activation) -> FlexTensor {
    let input = contiguous(input);
    let x = numbers::<T>(&input);
    let mut output = vec![T::ZERO; x.len()];
    cpu::activate(x, activation, &mut output);
    tensor(output, input.layout().shape().clone())
}

/// In the gradient's own memory if nothing else holds it.
fn activate_backward<T: Number>(input: FlexTensor, gradient: FlexTensor, activation: Activation) -> FlexTensor {
    let (input, mut gradient) = (contiguous(input), contiguous(gradient));
    cpu::activate_backward(numbers::<T>(&input), activation, gradient.storage_mut());
    gradient
}

fn swiglu<T: Number>(input: FlexTensor) -> FlexTensor {
    let input = contiguous(input);
    let [rows, columns] = sizes(&input);
    let mut output = vec![T::ZERO; rows * columns / 2];
    cpu::swiglu(numbers(&input), columns / 2, &mut output);
    tensor(output, [rows, columns / 2])
}

fn swiglu_backward<T: Number>(input: FlexTensor, gradient: FlexTensor) -> FlexTensor {
    let (input, gradient) = (contiguous(input), contiguous(gradient));
    let [rows, columns] = sizes(&input);
    let mut found = vec![T::ZERO; rows * columns];
    cpu::swiglu_backward(numbers(&input), numbers(&gradient), columns / 2, &mut found);
    tensor(found, [rows, columns])
}
