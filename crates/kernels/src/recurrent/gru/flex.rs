//! Between Burn's CPU tensors and the bodies.

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;

use super::super::tensors::sizes_of;
use super::cpu::{Layer, backward, forward};
use super::{GruGradients, GruOps};
use crate::flex::{Number, contiguous, numbers, sizes, tensor, with_number};

impl GruOps for Flex {
    fn gru_sequence(
        projected: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        hidden_bias: FloatTensor<Self>,
        hidden: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        Self::gru_keeping(projected, weight, hidden_bias, hidden).0
    }
}

impl GruGradients for Flex {
    fn gru_keeping(
        projected: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        hidden_bias: FloatTensor<Self>,
        hidden: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let operands = [weight, hidden_bias, hidden];
        let [outputs, gates, inner] = with_number!(projected, T => run::<T>(projected, operands));
        (outputs.clone(), outputs, gates, inner)
    }

    fn gru_backward(
        weight: FloatTensor<Self>,
        hidden_bias: FloatTensor<Self>,
        hidden: FloatTensor<Self>,
        states: FloatTensor<Self>,
        gates: FloatTensor<Self>,
        inner: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let operands = [weight, hidden_bias, hidden];
        with_number!(gates, T => run_backward::<T>(operands, [states, gradient], [gates, inner]))
    }
}

/// All h_t, the gates, which lie in the memory of the projected inputs if nothing else holds them, and what the reset
/// gate multiplies.
fn run<T: Number>(projected: FlexTensor, operands: [FlexTensor; 3]) -> [FlexTensor; 3] {
    let (mut gates, [weight, hidden_bias, hidden]) = (contiguous(projected), operands.map(contiguous));
    let sizes = sizes_of(&gates, 3);
    let shape = [sizes.steps, sizes.rows, sizes.width];
    let count = shape.iter().product();
    let (mut inner, mut outputs) = (vec![T::ZERO; count], vec![T::ZERO; count]);
    let layer =
        Layer { sizes, weight: numbers::<T>(&weight), hidden_bias: numbers(&hidden_bias), hidden: numbers(&hidden) };
    forward(layer, gates.storage_mut(), &mut inner, &mut outputs);
    [tensor(outputs, shape), gates, tensor(inner, shape)]
}

fn run_backward<T: Number>(
    operands: [FlexTensor; 3],
    [outputs, gradient]: [FlexTensor; 2],
    kept: [FlexTensor; 2],
) -> (FlexTensor, FlexTensor, FlexTensor, FlexTensor) {
    let [weight, hidden_bias, hidden] = operands.map(contiguous);
    let ([mut gates, mut inner], gradient) = (kept.map(contiguous), contiguous(gradient));
    let layer = Layer {
        sizes: sizes_of(&gates, 3),
        weight: numbers::<T>(&weight),
        hidden_bias: numbers(&hidden_bias),
        hidden: numbers(&hidden),
    };
    let found = backward(layer, [numbers(&outputs), numbers(&gradient)], gates.storage_mut(), inner.storage_mut());
    let weight = tensor(found.weight, sizes::<2>(&weight));
    let hidden_bias = tensor(found.hidden_bias, sizes::<1>(&hidden_bias));
    (gates, weight, hidden_bias, tensor(found.hidden, sizes::<2>(&hidden)))
}
