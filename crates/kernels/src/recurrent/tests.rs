use burn::tensor::{Device, Tensor};

use super::{RnnActivation, gru_sequence, lstm_sequence, reference, rnn_sequence};
use crate::testing::{assert_equals_reference, assert_gradients};

/// Steps, rows, width.
const SIZES: [[usize; 3]; 6] = [[1, 1, 1], [1, 3, 5], [7, 1, 3], [5, 2, 17], [33, 9, 32], [3, 65, 40]];

type Lstm = fn(Tensor<3>, Tensor<2>, Tensor<2>, Tensor<2>) -> (Tensor<3>, Tensor<2>);
type Gru = fn(Tensor<3>, Tensor<2>, Tensor<1>, Tensor<2>) -> Tensor<3>;
type Rnn = fn(Tensor<3>, Tensor<2>, Tensor<2>, RnnActivation) -> Tensor<3>;

/// As weights are drawn: larger ones make a chaotic network, which turns rounding into differences.
fn scaled(weight: Tensor<1>, width: usize) -> Tensor<1> {
    weight * (width as f64).powf(-0.5)
}

#[test]
fn rnn_equals_its_reference() {
    for [steps, rows, width] in SIZES {
        for activation in [RnnActivation::Tanh, RnnActivation::Relu] {
            let flattened = |form: Rnn| {
                move |inputs: &[Tensor<1>]| {
                    let projected = inputs[0].clone().reshape([steps, rows, width]);
                    let weight = scaled(inputs[1].clone(), width).reshape([width, width]);
                    let hidden = inputs[2].clone().reshape([rows, width]);
                    form(projected, weight, hidden, activation).reshape([steps * rows * width])
                }
            };
            let what = format!("{activation:?} network of {steps} x {rows} x {width}");
            let lengths = [steps * rows * width, width * width, rows * width];
            assert_equals_reference(&what, &lengths, &flattened(rnn_sequence), &flattened(reference::rnn_sequence));
            // A rectifier's kinks spoil difference quotients of long sequences.
            if activation == RnnActivation::Tanh {
                assert_gradients(&what, &lengths, &flattened(rnn_sequence));
            }
        }
    }
}

#[test]
fn lstm_equals_its_reference_also_in_the_last_cell() {
    for [steps, rows, width] in SIZES {
        for with_cell in [false, true] {
            let flattened = |form: Lstm| {
                move |inputs: &[Tensor<1>]| {
                    let projected = inputs[0].clone().reshape([steps, rows, 4 * width]);
                    let weight = scaled(inputs[1].clone(), width).reshape([width, 4 * width]);
                    let [hidden, cell] = [2, 3].map(|index: usize| inputs[index].clone().reshape([rows, width]));
                    let (outputs, cell) = form(projected, weight, hidden, cell);
                    let outputs = outputs.reshape([steps * rows * width]);
                    if with_cell { Tensor::cat(vec![outputs, cell.reshape([rows * width])], 0) } else { outputs }
                }
            };
            let what = format!("LSTM of {steps} x {rows} x {width}, last cell {with_cell}");
            let lengths = [steps * rows * 4 * width, 4 * width * width, rows * width, rows * width];
            assert_equals_reference(&what, &lengths, &flattened(lstm_sequence), &flattened(reference::lstm_sequence));
            assert_gradients(&what, &lengths, &flattened(lstm_sequence));
        }
    }
}

#[test]
fn the_last_cell_alone_has_a_gradient() {
    let cell_of = |inputs: &[Tensor<1>]| {
        let [hidden, cell] = [2, 3].map(|index: usize| inputs[index].clone().reshape([2, 3]));
        let (projected, weight) = (inputs[0].clone().reshape([4, 2, 12]), inputs[1].clone().reshape([3, 12]));
        lstm_sequence(projected, weight, hidden, cell).1.reshape([6])
    };
    assert_gradients("the last cell", &[96, 36, 6, 6], &cell_of);
}

#[test]
fn gru_equals_its_reference() {
    for [steps, rows, width] in SIZES {
        let flattened = |form: Gru| {
            move |inputs: &[Tensor<1>]| {
                let projected = inputs[0].clone().reshape([steps, rows, 3 * width]);
                let weight = scaled(inputs[1].clone(), width).reshape([width, 3 * width]);
                let hidden = inputs[3].clone().reshape([rows, width]);
                form(projected, weight, inputs[2].clone(), hidden).reshape([steps * rows * width])
            }
        };
        let what = format!("GRU of {steps} x {rows} x {width}");
        let lengths = [steps * rows * 3 * width, 3 * width * width, width, rows * width];
        assert_equals_reference(&what, &lengths, &flattened(gru_sequence), &flattened(reference::gru_sequence));
        assert_gradients(&what, &lengths, &flattened(gru_sequence));
    }
}

#[test]
#[should_panic(expected = "a recurrent layer needs at least one step of at least one row")]
fn an_empty_sequence_is_refused() {
    let device = Device::flex();
    let state = Tensor::zeros([2, 3], &device);
    rnn_sequence(Tensor::zeros([0, 2, 3], &device), Tensor::zeros([3, 3], &device), state, RnnActivation::Tanh);
}

#[test]
#[should_panic(expected = "a state has the rows of its window and the width of its layer")]
fn a_state_of_other_rows_is_refused() {
    let device = Device::flex();
    let state = Tensor::zeros([1, 3], &device);
    rnn_sequence(Tensor::zeros([4, 2, 3], &device), Tensor::zeros([3, 3], &device), state, RnnActivation::Tanh);
}
