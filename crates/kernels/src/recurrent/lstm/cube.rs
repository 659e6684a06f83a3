//! The LSTM's time loop on a GPU: a launch for each step forward, two for each step back.

use burn::backend::tensor::FloatTensor;
use burn_cubecl::CubeBackend;
use burn_cubecl::cubecl::{self, prelude::*};
use burn_cubecl::kernel::into_contiguous;

use super::super::cube::{Sequence, copy, place_of_four, sigmoid, sum_of, tanh, work_forward};
use super::super::cube_tile::{Tile, add_up, sum_at};
use super::super::steps::Sizes;
use super::{LstmGradients, LstmOps};
use crate::cube::{Four, empty, read, write};

impl LstmOps for CubeBackend {
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

impl LstmGradients for CubeBackend {
    fn lstm_keeping(
        projected: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        hidden: FloatTensor<Self>,
        cell: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [projected, weight, hidden, cell] = [projected, weight, hidden, cell].map(into_contiguous);
        let sequence = Sequence::new(&projected, 4);
        let Sizes { steps, rows, width } = sequence.sizes;
        let (states, cells) = (sequence.states_after(&hidden), sequence.states_after(&cell));
        let gates = empty(&projected, [steps, rows, 4 * width]);
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
                cells.clone().into_buffer_arg(),
                gates.clone().into_buffer_arg(),
                outputs.clone().into_buffer_arg(),
                step,
                rows,
                width,
                tile,
            );
        }
        (outputs, sequence.last(&cells), states, cells, gates)
    }

    fn lstm_backward(
        weight: FloatTensor<Self>,
        _hidden: FloatTensor<Self>,
        _cell: FloatTensor<Self>,
        states: FloatTensor<Self>,
        cells: FloatTensor<Self>,
        gates: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        last_cell_gradient: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [weight, gradient, last_cell_gradient] = [weight, gradient, last_cell_gradient].map(into_contiguous);
        let sequence = Sequence::new(&gates, 4);
        let Sizes { steps, rows, width } = sequence.sizes;
        let (parts, count) = sequence.room_for_parts(&gates);
        let sums = empty(&gates, [steps, rows, 4 * width]);
        let cell = empty(&gates, [rows, width]);
        copy(&last_cell_gradient, 0, &cell, rows * width);
        for step in (0..steps).rev() {
            let (cubes, units) = sequence.pointwise();
            differentiate::launch(
                &sequence.client,
                cubes,
                units,
                sequence.vector_size(),
                gates.clone().into_buffer_arg(),
                cells.clone().into_buffer_arg(),
                gradient.clone().into_buffer_arg(),
                parts.clone().into_buffer_arg(),
                cell.clone().into_buffer_arg(),
                sums.clone().into_buffer_arg(),
                step,
                if step + 1 < steps { count } else { 0 },
                rows,
                width,
                sequence.by_fours(),
            );
            sequence.multiply_back(&sums, &weight, &parts, step);
        }
        let weight = sequence.weight_gradient(&states, &sums);
        (sums, weight, sequence.sum_of_parts(parts), cell)
    }
}

/// A step of a tile of units: its products, gates, cells and outputs.
#[cube(launch)]
fn go_on<N: Size>(
    projected: &[Vector<f32, N>],
    weight: &[Vector<f32, N>],
    states: &mut [Vector<f32, N>],
    cells: &mut [Vector<f32, N>],
    gates: &mut [Vector<f32, N>],
    outputs: &mut [Vector<f32, N>],
    step: usize,
    rows: usize,
    width: usize,
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
            let after = place + rows * width;
            let start = (step * rows + row) * 4 * width + column;
            let mut sums = Array::<Four>::new(4usize);
            #[unroll]
            for gate in 0..4usize {
                let sum = sum_at(&shared, in_tile, four + comptime!(gate * tile.fours_of_block()), tile);
                sums[gate] = sum + read(projected, start + gate * width, left, by_fours);
            }
            let input = sigmoid(sums[0]);
            let forget = sigmoid(sums[1]);
            let output = sigmoid(sums[2]);
            let candidate = tanh(sums[3]);
            let cell = forget * read(&*cells, place, left, by_fours) + input * candidate;
            let state = output * tanh(cell);
            write(gates, start, input, left, by_fours);
            write(gates, start + width, forget, left, by_fours);
            write(gates, start + 2 * width, output, left, by_fours);
            write(gates, start + 3 * width, candidate, left, by_fours);
            write(cells, after, cell, left, by_fours);
            write(states, after, state, left, by_fours);
            write(outputs, place, state, left, by_fours);
        }
        item += comptime!(tile.units());
    }
}

/// The gradients of a step's sums, and that of the cell before it in place of that of its own. `parts` are what the
/// step after it left for the gradient of its output.
#[cube(launch)]
fn differentiate<N: Size>(
    gates: &[Vector<f32, N>],
    cells: &[Vector<f32, N>],
    gradient: &[Vector<f32, N>],
    parts: &[Vector<f32, N>],
    cell_gradient: &mut [Vector<f32, N>],
    sums: &mut [Vector<f32, N>],
    step: usize,
    count: usize,
    rows: usize,
    width: usize,
    #[comptime] by_fours: bool,
) {
    let at = place_of_four(ABSOLUTE_POS, step, rows, width);
    if at.row >= rows {
        terminate!();
    }
    let left = at.left;
    let start = at.sequence_row * 4 * width + at.column;
    let input = read(gates, start, left, by_fours);
    let forget = read(gates, start + width, left, by_fours);
    let output = read(gates, start + 2 * width, left, by_fours);
    let candidate = read(gates, start + 3 * width, left, by_fours);
    let before = read(cells, at.in_sequence, left, by_fours);
    let squashed = tanh(read(cells, at.in_sequence + rows * width, left, by_fours));
    let one = Four::new(1.0);
    let dh = read(gradient, at.in_sequence, left, by_fours) + sum_of(parts, &at, count, rows * width, by_fours);
    let dc = read(&*cell_gradient, at.in_state, left, by_fours) + dh * output * (one - squashed * squashed);
    write(sums, start, dc * candidate * input * (one - input), left, by_fours);
    write(sums, start + width, dc * before * forget * (one - forget), left, by_fours);
    write(sums, start + 2 * width, dh * squashed * output * (one - output), left, by_fours);
    write(sums, start + 3 * width, dc * input * (one - candidate * candidate), left, by_fours);
    write(cell_gradient, at.in_state, dc * forget, left, by_fours);
}
