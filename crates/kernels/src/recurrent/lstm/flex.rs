//! Between Burn's CPU tensors and the bodies.

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;

use super::super::tensors::sizes_of;
use super::cpu::{Layer, StateGradients, States, backward, forward};
use super::{LstmGradients, LstmKept, LstmOperands, LstmOps};
use crate::flex::{Number, contiguous, numbers, sizes, tensor, with_number};

impl LstmOps for Flex {
    fn lstm_sequence(
        projected: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        hidden: FloatTensor<Self>,
        cell: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let (outputs, last_cell, _) = Self::lstm_keeping(projected, LstmOperands { weight, hidden, cell });
        (outputs, last_cell)
    }
}

impl LstmGradients for Flex {
    fn lstm_keeping(
        projected: FloatTensor<Self>,
        operands: LstmOperands<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, LstmKept<Self>) {
        with_number!(projected, T => run::<T>(projected, operands))
    }

    fn lstm_backward(
        operands: LstmOperands<Self>,
        kept: LstmKept<Self>,
        gradient: FloatTensor<Self>,
        last_cell_gradient: Option<FloatTensor<Self>>,
    ) -> [FloatTensor<Self>; 4] {
        with_number!(gradient, T => run_backward::<T>(operands, kept, gradient, last_cell_gradient))
    }
}

/// The gates lie in the memory of the projected inputs if nothing else holds them.
fn run<T: Number>(projected: FlexTensor, operands: LstmOperands<Flex>) -> (FlexTensor, FlexTensor, LstmKept<Flex>) {
    let LstmOperands { weight, hidden, cell } = operands;
    let [mut gates, weight, hidden, cell] = [projected, weight, hidden, cell].map(contiguous);
    let shape = sizes_of(&gates, 4);
    let (steps, rows, width) = (shape.steps, shape.rows, shape.width);
    let (mut outputs, mut cells) = (vec![T::ZERO; steps * rows * width], vec![T::ZERO; steps * rows * width]);
    let layer = Layer { sizes: shape, weight: numbers::<T>(&weight), hidden: numbers(&hidden), cell: numbers(&cell) };
    forward(layer, gates.storage_mut(), &mut outputs, &mut cells);
    let last_cell = tensor(cells[(steps - 1) * rows * width..].to_vec(), [rows, width]);
    let (outputs, cells) = (tensor(outputs, [steps, rows, width]), tensor(cells, [steps, rows, width]));
    (outputs.clone(), last_cell, LstmKept { outputs, cells, gates })
}

fn run_backward<T: Number>(
    operands: LstmOperands<Flex>,
    kept: LstmKept<Flex>,
    gradient: FlexTensor,
    last_cell_gradient: Option<FlexTensor>,
) -> [FlexTensor; 4] {
    let LstmOperands { weight, hidden, cell } = operands;
    let LstmKept { outputs, cells, gates } = kept;
    let [mut gates, weight, hidden, cell, gradient] = [gates, weight, hidden, cell, gradient].map(contiguous);
    let last_cell_gradient = last_cell_gradient.map(contiguous);
    let shape = sizes_of(&gates, 4);
    let layer = Layer { sizes: shape, weight: numbers::<T>(&weight), hidden: numbers(&hidden), cell: numbers(&cell) };
    let states = States { outputs: numbers(&outputs), cells: numbers(&cells) };
    let gradients = StateGradients { outputs: numbers(&gradient), last_cell: last_cell_gradient.as_ref().map(numbers) };
    let found = backward(layer, states, gradients, gates.storage_mut());
    let state: [usize; 2] = sizes(&hidden);
    let weight = tensor(found.weight, sizes::<2>(&weight));
    [gates, weight, tensor(found.hidden, state), tensor(found.cell, state)]
}
