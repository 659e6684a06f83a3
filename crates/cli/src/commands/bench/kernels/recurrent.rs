//! Whole sequences through a recurrent layer, from their projected inputs.

use burn::tensor::{Device, Tensor};
use kiln_kernels::{RnnActivation, reference};

use super::super::stopwatch::Work;
use super::Kernel;
use super::inputs::{count, forward, recurrent_weight, tracked, with_backward};

/// Steps, rows, width: the recipes of configs/bench.
const SIZES: [[usize; 3]; 2] = [[50, 50, 128], [64, 32, 256]];

type Lstm = fn(Tensor<3>, Tensor<2>, Tensor<2>, Tensor<2>) -> (Tensor<3>, Tensor<2>);

/// A layer with so many gates; in both passes it does three products of the state's size, in the forward pass one.
fn kernel([steps, rows, width]: [usize; 3], gates: usize, sides: [Work<'static>; 2], passes: f64) -> Kernel {
    let states = count([steps, rows, width]);
    let product = 2.0 * states * (gates * width) as f64;
    // Forward: projected inputs, outputs. Backward: gates, outputs and their gradients are read, gradients of the
    // inputs written. The weight is read once a pass, and its gradient written.
    let gates = gates as f64;
    let weight = gates * count([width, width]);
    let (flops, numbers) = if passes == 1.0 {
        (product, (gates + 1.0) * states + weight)
    } else {
        (3.0 * product, (3.0 * gates + 3.0) * states + 3.0 * weight)
    };
    Kernel::new(format!("{steps} x {rows} x {width}"), sides, flops, numbers)
}

pub(super) fn rnn(device: &Device) -> Vec<Kernel> {
    let of = |sizes @ [steps, rows, width]: [usize; 3]| {
        let projected = tracked::<3>([steps, rows, width], device);
        let inputs = (projected, recurrent_weight(width, 1, device), tracked::<2>([rows, width], device));
        let side = |form: fn(Tensor<3>, Tensor<2>, Tensor<2>, RnnActivation) -> Tensor<3>| {
            with_backward(&inputs, move |(projected, weight, hidden)| {
                form(projected, weight, hidden, RnnActivation::Tanh)
            })
        };
        kernel(sizes, 1, [side(kiln_kernels::rnn_sequence), side(reference::rnn_sequence)], 2.0)
    };
    SIZES.map(of).into()
}

type LstmInputs = (Tensor<3>, Tensor<2>, Tensor<2>, Tensor<2>);

fn lstm_inputs([steps, rows, width]: [usize; 3], device: &Device) -> LstmInputs {
    let state = || tracked::<2>([rows, width], device);
    (tracked::<3>([steps, rows, 4 * width], device), recurrent_weight(width, 4, device), state(), state())
}

pub(super) fn lstm_forward(device: &Device) -> Vec<Kernel> {
    let of = |sizes: [usize; 3]| {
        let (projected, weight, hidden, cell) = lstm_inputs(sizes, device);
        let inputs = (projected.inner(), weight.inner(), hidden.inner(), cell.inner());
        let side = |form: Lstm| {
            forward(&inputs, move |(projected, weight, hidden, cell)| form(projected, weight, hidden, cell).0)
        };
        kernel(sizes, 4, [side(kiln_kernels::lstm_sequence), side(reference::lstm_sequence)], 1.0)
    };
    SIZES.map(of).into()
}

pub(super) fn lstm(device: &Device) -> Vec<Kernel> {
    let of = |sizes: [usize; 3]| {
        let inputs = lstm_inputs(sizes, device);
        let side = |form: Lstm| {
            with_backward(&inputs, move |(projected, weight, hidden, cell)| form(projected, weight, hidden, cell).0)
        };
        kernel(sizes, 4, [side(kiln_kernels::lstm_sequence), side(reference::lstm_sequence)], 2.0)
    };
    SIZES.map(of).into()
}

pub(super) fn gru(device: &Device) -> Vec<Kernel> {
    let of = |sizes @ [steps, rows, width]: [usize; 3]| {
        let projected = tracked::<3>([steps, rows, 3 * width], device);
        let (bias, hidden) = (tracked::<1>([width], device), tracked::<2>([rows, width], device));
        let inputs = (projected, recurrent_weight(width, 3, device), bias, hidden);
        let side = |form: fn(Tensor<3>, Tensor<2>, Tensor<1>, Tensor<2>) -> Tensor<3>| {
            with_backward(&inputs, move |(projected, weight, bias, hidden)| form(projected, weight, bias, hidden))
        };
        kernel(sizes, 3, [side(kiln_kernels::gru_sequence), side(reference::gru_sequence)], 2.0)
    };
    SIZES.map(of).into()
}
