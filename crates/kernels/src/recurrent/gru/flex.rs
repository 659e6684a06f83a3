//! Between Burn's CPU tensors and the bodies.

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;

use super::super::tensors::sizes_of;
use super::cpu::{Layer, backward, forward};
use super::{GruGradients, GruKept, GruOperands, GruOps};
use crate::flex::{Number, contiguous, numbers, sizes, tensor, with_number};

impl GruOps for Flex {
    fn gru_sequence(
        projected: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        hidden_bias: FloatTensor<Self>,
        hidden: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        Self::gru_keeping(projected, GruOperands { weight, hidden_bias, hidden }).0
    }
}

impl GruGradients for Flex {
    fn gru_keeping(projected: FloatTensor<Self>, operands: GruOperands<Self>) -> (FloatTensor<Self>, GruKept<Self>) {
        with_number!(projected, T => run::<T>(projected, operands))
    }

    fn gru_backward(
        operands: GruOperands<Self>,
        kept: GruKept<Self>,
        gradient: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 4] {
        with_number!(gradient, T => run_backward::<T>(operands, kept, gradient))
    }
}

/// The gates lie in the memory of the projected inputs if nothing else holds them.
fn run<T: Number>(projected: FlexTensor, operands: GruOperands<Flex>) -> (FlexTensor, GruKept<Flex>) {
    let GruOperands { weight, hidden_bias, hidden } = operands;
    let [mut gates, weight, hidden_bias, hidden] = [projected, weight, hidden_bias, hidden].map(contiguous);
    let sizes = sizes_of(&gates, 3);
    let shape = [sizes.steps, sizes.rows, sizes.width];
    let count = shape.iter().product();
    let (mut inner, mut outputs) = (vec![T::ZERO; count], vec![T::ZERO; count]);
    let layer =
        Layer { sizes, weight: numbers::<T>(&weight), hidden_bias: numbers(&hidden_bias), hidden: numbers(&hidden) };
    forward(layer, gates.storage_mut(), &mut inner, &mut outputs);
    let (inner, outputs) = (tensor(inner, shape), tensor(outputs, shape));
    (outputs.clone(), GruKept { outputs, gates, inner })
}

fn run_backward<T: Number>(operands: GruOperands<Flex>, kept: GruKept<Flex>, gradient: FlexTensor) -> [FlexTensor; 4] {
    let GruOperands { weight, hidden_bias, hidden } = operands;
    let GruKept { outputs, gates, inner } = kept;
    let [mut gates, mut inner, gradient] = [gates, inner, gradient].map(contiguous);
    let [weight, hidden_bias, hidden] = [weight, hidden_bias, hidden].map(contiguous);
    let layer = Layer {
        sizes: sizes_of(&gates, 3),
        weight: numbers::<T>(&weight),
        hidden_bias: numbers(&hidden_bias),
        hidden: numbers(&hidden),
    };
    let found = backward(layer, [numbers(&outputs), numbers(&gradient)], gates.storage_mut(), inner.storage_mut());
    let weight = tensor(found.weight, sizes::<2>(&weight));
    let hidden_bias = tensor(found.hidden_bias, sizes::<1>(&hidden_bias));
    [gates, weight, hidden_bias, tensor(found.hidden, sizes::<2>(&hidden))]
}
