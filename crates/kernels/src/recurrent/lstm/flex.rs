//! Between Burn's CPU tensors and the bodies.

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;

use super::super::tensors::sizes_of;
use super::cpu::{Layer, StateGradients, States, backward, forward};
use super::{LstmGradients, LstmOps};
use crate::flex::{Number, contiguous, numbers, sizes, tensor, with_number};

impl LstmOps for Flex {
    fn lstm_sequence(
        projected: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        hidden: FloatTensor<Self>,
        cell: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let (outputs, last_cell, ..) = Self::lstm_keeping(projected, weight, hidden, cell);
        (outputs, last_cell)
    }
}

impl LstmGradients for Flex {
    fn lstm_keeping(
        projected: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        hidden: FloatTensor<Self>,
        cell: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [outputs, last_cell, cells, gates] =
            with_number!(projected, T => run::<T>(projected, [weight, hidden, cell]));
        (outputs.clone(), last_cell, outputs, cells, gates)
    }

    fn lstm_backward(
        weight: FloatTensor<Self>,
        hidden: FloatTensor<Self>,
        cell: FloatTensor<Self>,
        states: FloatTensor<Self>,
        cells: FloatTensor<Self>,
        gates: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        last_cell_gradient: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let operands = [weight, hidden, cell];
        let gradients = [gradient, last_cell_gradient];
        with_number!(gates, T => run_backward::<T>(operands, [states, cells], gates, gradients))
    }
}

/// All h_t, the last c_t, all c_t and the gates, which lie in the memory of the projected inputs if nothing else holds
/// them.
fn run<T: Number>(projected: FlexTensor, operands: [FlexTensor; 3]) -> [FlexTensor; 4] {
    let (mut gates, [weight, hidden, cell]) = (contiguous(projected), operands.map(contiguous));
    let shape = sizes_of(&gates, 4);
    let (steps, rows, width) = (shape.steps, shape.rows, shape.width);
    let (mut outputs, mut cells) = (vec![T::ZERO; steps * rows * width], vec![T::ZERO; steps * rows * width]);
    let layer = Layer { sizes: shape, weight: numbers::<T>(&weight), hidden: numbers(&hidden), cell: numbers(&cell) };
    forward(layer, gates.storage_mut(), &mut outputs, &mut cells);
    let last_cell = tensor(cells[(steps - 1) * rows * width..].to_vec(), [rows, width]);
    let (outputs, cells) = (tensor(outputs, [steps, rows, width]), tensor(cells, [steps, rows, width]));
    [outputs, last_cell, cells, gates]
}

fn run_backward<T: Number>(
    operands: [FlexTensor; 3],
    [outputs, cells]: [FlexTensor; 2],
    gates: FlexTensor,
    gradients: [FlexTensor; 2],
) -> (FlexTensor, FlexTensor, FlexTensor, FlexTensor) {
    let [weight, hidden, cell] = operands.map(contiguous);
    let [gradient, last_cell_gradient] = gradients.map(contiguous);
    let mut gates = contiguous(gates);
    let shape = sizes_of(&gates, 4);
    let layer = Layer { sizes: shape, weight: numbers::<T>(&weight), hidden: numbers(&hidden), cell: numbers(&cell) };
    let states = States { outputs: numbers(&outputs), cells: numbers(&cells) };
    let gradients = StateGradients { outputs: numbers(&gradient), last_cell: numbers(&last_cell_gradient) };
    let found = backward(layer, states, gradients, gates.storage_mut());
    let state: [usize; 2] = sizes(&hidden);
    let weight = tensor(found.weight, sizes::<2>(&weight));
    (gates, weight, tensor(found.hidden, state), tensor(found.cell, state))
}
