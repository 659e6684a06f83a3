//! The Elman network's time loop on a GPU: a launch for each step forward, two for each step back.

use burn::backend::tensor::FloatTensor;
use burn_cubecl::CubeBackend;
use burn_cubecl::cubecl::{self, prelude::*};
use burn_cubecl::kernel::into_contiguous;

use super::super::cube::{Sequence, place_of_four, sum_of, tanh, work_forward};
use super::super::cube_tile::{Tile, add_up, sum_at};
use super::super::steps::Sizes;
use super::cpu::Activation;
use super::{RnnGradients, RnnOps};
use crate::cube::{Four, empty, read, write};

impl RnnOps for CubeBackend {
    fn rnn_sequence(
        projected: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        hidden: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        Self::rnn_keeping(projected, weight, hidden, activation).0
    }
}

impl RnnGradients for CubeBackend {
    fn rnn_keeping(
        projected: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        hidden: FloatTensor<Self>,
        activation: Activation,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let [projected, weight, hidden] = [projected, weight, hidden].map(into_contiguous);
        let sequence = Sequence::new(&projected, 1);
        let Sizes { steps, rows, width } = sequence.sizes;
        let states = sequence.states_after(&hidden);
        let outputs = empty(&projected, [steps, rows, width]);
        for step in 0..steps {
            let (cubes, units, tile) = sequence.forward();
            go_on::launch(
                &sequence.client,
                cubes,
                units,
                sequence.vector_size(),
                projected.clone().into_buffer_arg(),
                weight.clone().into_buffer_arg(),
                states.clone().into_buffer_arg(),
                outputs.clone().into_buffer_arg(),
                step,
                rows,
                width,
                activation,
                tile,
            );
        }
        (outputs, states)
    }

    fn rnn_backward(
        weight: FloatTensor<Self>,
        _hidden: FloatTensor<Self>,
        states: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        activation: Activation,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [weight, gradient] = [weight, gradient].map(into_contiguous);
        let sequence = Sequence::new(&gradient, 1);
        let Sizes { steps, rows, width } = sequence.sizes;
        let (parts, count) = sequence.room_for_parts(&gradient);
        let sums = empty(&gradient, [steps, rows, width]);
        for step in (0..steps).rev() {
            let (cubes, units) = sequence.pointwise();
            differentiate::launch(
                &sequence.client,
                cubes,
                units,
                sequence.vector_size(),
                states.clone().into_buffer_arg(),
                gradient.clone().into_buffer_arg(),
                parts.clone().into_buffer_arg(),
                sums.clone().into_buffer_arg(),
                step,
                if step + 1 < steps { count } else { 0 },
                rows,
                width,
                activation,
                sequence.by_fours(),
            );
            sequence.multiply_back(&sums, &weight, &parts, step);
        }
        let weight = sequence.weight_gradient(&states, &sums);
        (sums, weight, sequence.sum_of_parts(parts))
    }
}

/// phi of each number; what is not a number remains so.
#[cube]
fn activated(sum: Four, #[comptime] activation: Activation) -> Four {
    let mut state = sum;
    if comptime!(activation == Activation::Tanh) {
        state = tanh(sum);
    } else {
        #[unroll]
        for index in 0..4usize {
            if sum.extract(index) < 0.0 {
                state.insert(index, 0.0f32);
            }
        }
    }
    state
}

/// A step of a tile of units.
#[cube(launch)]
fn go_on<N: Size>(
    projected: &[Vector<f32, N>],
    weight: &[Vector<f32, N>],
    states: &mut [Vector<f32, N>],
    outputs: &mut [Vector<f32, N>],
    step: usize,
    rows: usize,
    width: usize,
    #[comptime] activation: Activation,
    #[comptime] tile: Tile,
) {
    let work = work_forward(step, rows, width, tile);
    if work.row >= rows {
        terminate!();
    }
    let by_fours = comptime!(tile.by_fours);
    let fours = comptime!(tile.fours_of_block());
    let mut shared = Shared::<[Four]>::new_slice(comptime!(tile.shared_fours()));
    add_up(&*states, weight, &mut shared, &work, tile);
    let mut item = UNIT_POS as usize;
    while item < comptime!(tile.rows * tile.fours_of_block()) {
        let four = item % fours;
        let in_tile = item / fours;
        let row = work.row + in_tile;
        let column = work.column + 4 * four;
        if row < rows && column < width {
            let left = width - column;
            let place = (step * rows + row) * width + column;
            let sum = sum_at(&shared, in_tile, four, tile) + read(projected, place, left, by_fours);
            let state = activated(sum, activation);
            write(states, place + rows * width, state, left, by_fours);
            write(outputs, place, state, left, by_fours);
        }
        item += comptime!(tile.units());
    }
}

/// The gradients of a step's sums. `parts` are what the step after it left for the gradient of its output.
#[cube(launch)]
fn differentiate<N: Size>(
    states: &[Vector<f32, N>],
    gradient: &[Vector<f32, N>],
    parts: &[Vector<f32, N>],
    sums: &mut [Vector<f32, N>],
    step: usize,
    count: usize,
    rows: usize,
    width: usize,
    #[comptime] activation: Activation,
    #[comptime] by_fours: bool,
) {
    let at = place_of_four(ABSOLUTE_POS, step, rows, width);
    if at.row >= rows {
        terminate!();
    }
    let state = read(states, at.in_sequence + rows * width, at.left, by_fours);
    let mut dh = read(gradient, at.in_sequence, at.left, by_fours) + sum_of(parts, &at, count, rows * width, by_fours);
    if comptime!(activation == Activation::Tanh) {
        dh *= Four::new(1.0) - state * state;
    } else {
        #[unroll]
        for index in 0..4usize {
            if state.extract(index) <= 0.0 {
                dh.insert(index, 0.0f32);
            }
        }
    }
    write(sums, at.in_sequence, dh, at.left, by_fours);
}
