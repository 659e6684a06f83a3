//! Between Burn's CPU tensors and the bodies.

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;

use super::super::tensors::sizes_of;
use super::cpu::{Activation, Layer, backward, forward};
use super::{RnnGradients, RnnOps};
use crate::flex::{Number, contiguous, numbers, tensor, with_number};

impl RnnOps for Flex {
    fn rnn_sequence(
        projected: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        hidden: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        with_number!(projected, T => run::<T>(projected, weight, hidden, activation))
    }
}

impl RnnGradients for Flex {
    fn rnn_keeping(
        projected: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        hidden: FloatTensor<Self>,
        activation: Activation,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let outputs = Self::rnn_sequence(projected, weight, hidden, activation);
        (outputs.clone(), outputs)
    }

    fn rnn_backward(
        weight: FloatTensor<Self>,
        hidden: FloatTensor<Self>,
        states: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        activation: Activation,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        with_number!(states, T => run_backward::<T>([weight, hidden, states, gradient], activation))
    }
}

/// In the memory of the projected inputs if nothing else holds them.
fn run<T: Number>(projected: FlexTensor, weight: FlexTensor, hidden: FlexTensor, activation: Activation) -> FlexTensor {
    let [mut outputs, weight, hidden] = [projected, weight, hidden].map(contiguous);
    let sizes = sizes_of(&outputs, 1);
    let layer = Layer { sizes, activation, weight: numbers::<T>(&weight), hidden: numbers(&hidden) };
    forward(layer, outputs.storage_mut());
    outputs
}

fn run_backward<T: Number>(tensors: [FlexTensor; 4], activation: Activation) -> (FlexTensor, FlexTensor, FlexTensor) {
    let [weight, hidden, outputs, mut gradient] = tensors.map(contiguous);
    let sizes = sizes_of(&outputs, 1);
    let layer = Layer { sizes, activation, weight: numbers::<T>(&weight), hidden: numbers(&hidden) };
    let found = backward(layer, numbers(&outputs), gradient.storage_mut());
    let (width, rows) = (sizes.width, sizes.rows);
    (gradient, tensor(found.weight, [width, width]), tensor(found.hidden, [rows, width]))
}
