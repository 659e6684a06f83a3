//! The GRU's time loop on a GPU: a launch for each step forward, two for each step back.

use burn::backend::tensor::FloatTensor;
use burn_cubecl::CubeBackend;
use burn_cubecl::cubecl::{self, prelude::*};
use burn_cubecl::kernel::into_contiguous;

use super::super::cube::{Sequence, copy, place_of_four, sigmoid, sum_of, tanh, work_forward};
use super::super::cube_tile::{Tile, add_up, sum_at};
use super::super::steps::Sizes;
use super::{GruGradients, GruOps};
use crate::cube::{Four, column_sums, empty, read, write};

impl GruOps for CubeBackend {
    fn gru_sequence(
        projected: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        hidden_bias: FloatTensor<Self>,
        hidden: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        Self::gru_keeping(projected, weight, hidden_bias, hidden).0
    }
}

impl GruGradients for CubeBackend {
    fn gru_keeping(
        projected: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        hidden_bias: FloatTensor<Self>,
        hidden: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [projected, weight, hidden_bias, hidden] = [projected, weight, hidden_bias, hidden].map(into_contiguous);
        let sequence = Sequence::new(&projected, 3);
        let Sizes { steps, rows, width } = sequence.sizes;
        let states = sequence.states_after(&hidden);
        let gates = empty(&projected, [steps, rows, 3 * width]);
        let [inner, outputs] = [(), ()].map(|()| empty(&projected, [steps, rows, width]));
        for step in 0..steps {
            let (cubes, units, tile) = sequence.forward();
            go_on::launch(
                &sequence.client,
                cubes,
                units,
                sequence.vector_size(),
                projected.clone().into_buffer_arg(),
                weight.clone().into_buffer_arg(),
                hidden_bias.clone().into_buffer_arg(),
                states.clone().into_buffer_arg(),
                gates.clone().into_buffer_arg(),
                inner.clone().into_buffer_arg(),
                outputs.clone().into_buffer_arg(),
                step,
                rows,
                width,
                tile,
            );
        }
        (outputs, states, gates, inner)
    }

    fn gru_backward(
        weight: FloatTensor<Self>,
        hidden_bias: FloatTensor<Self>,
        _hidden: FloatTensor<Self>,
        states: FloatTensor<Self>,
        gates: FloatTensor<Self>,
        inner: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [weight, gradient] = [weight, gradient].map(into_contiguous);
        let sequence = Sequence::new(&gates, 3);
        let Sizes { steps, rows, width } = sequence.sizes;
        let (parts, count) = sequence.room_for_parts(&gates);
        let [projected, sums] = [(), ()].map(|()| empty(&gates, [steps, rows, 3 * width]));
        let direct = empty(&gates, [rows, width]);
        for step in (0..steps).rev() {
            let (cubes, units) = sequence.pointwise();
            differentiate::launch(
                &sequence.client,
                cubes,
                units,
                sequence.vector_size(),
                gates.clone().into_buffer_arg(),
                inner.clone().into_buffer_arg(),
                states.clone().into_buffer_arg(),
                gradient.clone().into_buffer_arg(),
                parts.clone().into_buffer_arg(),
                direct.clone().into_buffer_arg(),
                projected.clone().into_buffer_arg(),
                sums.clone().into_buffer_arg(),
                step,
                if step + 1 < steps { count } else { 0 },
                rows,
                width,
                sequence.by_fours(),
            );
            sequence.multiply_back(&sums, &weight, &parts, step);
        }
        let hidden =
            <Self as burn::backend::ops::FloatTensorOps<Self>>::float_add(sequence.sum_of_parts(parts), direct);
        let of_hidden_bias = empty(&hidden_bias, [width]);
        copy(&column_sums(&sums, steps * rows, 3 * width), 2 * width, &of_hidden_bias, width);
        (projected, sequence.weight_gradient(&states, &sums), of_hidden_bias, hidden)
    }
}

/// A step of a tile of units.
#[cube(launch)]
fn go_on<N: Size>(
    projected: &[Vector<f32, N>],
    weight: &[Vector<f32, N>],
    hidden_bias: &[Vector<f32, N>],
    states: &mut [Vector<f32, N>],
    gates: &mut [Vector<f32, N>],
    inner: &mut [Vector<f32, N>],
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
            let start = (step * rows + row) * 3 * width + column;
            let before = read(&*states, place, left, by_fours);
            let reset_sum = sum_at(&shared, in_tile, four, tile) + read(projected, start, left, by_fours);
            let update_sum = sum_at(&shared, in_tile, four + fours, tile);
            let update_sum = update_sum + read(projected, start + width, left, by_fours);
            let product = sum_at(&shared, in_tile, four + 2 * fours, tile) + read(hidden_bias, column, left, by_fours);
            let reset = sigmoid(reset_sum);
            let update = sigmoid(update_sum);
            let candidate = tanh(reset * product + read(projected, start + 2 * width, left, by_fours));
            let state = candidate + update * (before - candidate);
            write(gates, start, reset, left, by_fours);
            write(gates, start + width, update, left, by_fours);
            write(gates, start + 2 * width, candidate, left, by_fours);
            write(inner, place, product, left, by_fours);
            write(states, place + rows * width, state, left, by_fours);
            write(outputs, place, state, left, by_fours);
        }
        item += comptime!(tile.units());
    }
}

/// The gradients of a step's projected inputs and sums, which differ in the candidate's. `parts` and `direct` are what
/// the step after it left for the gradient of its output; what the update gate alone gives to that of the step before
/// takes the place of `direct`.
#[cube(launch)]
fn differentiate<N: Size>(
    gates: &[Vector<f32, N>],
    inner: &[Vector<f32, N>],
    states: &[Vector<f32, N>],
    gradient: &[Vector<f32, N>],
    parts: &[Vector<f32, N>],
    direct: &mut [Vector<f32, N>],
    projected: &mut [Vector<f32, N>],
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
    let start = at.sequence_row * 3 * width + at.column;
    let reset = read(gates, start, left, by_fours);
    let update = read(gates, start + width, left, by_fours);
    let candidate = read(gates, start + 2 * width, left, by_fours);
    let before = read(states, at.in_sequence, left, by_fours);
    let product = read(inner, at.in_sequence, left, by_fours);
    let one = Four::new(1.0);
    let mut dh = read(gradient, at.in_sequence, left, by_fours);
    if count > 0 {
        dh += read(&*direct, at.in_state, left, by_fours) + sum_of(parts, &at, count, rows * width, by_fours);
    }
    let dn = dh * (one - update) * (one - candidate * candidate);
    let dr = dn * product * reset * (one - reset);
    let dz = dh * (before - candidate) * update * (one - update);
    write(projected, start, dr, left, by_fours);
    write(projected, start + width, dz, left, by_fours);
    write(projected, start + 2 * width, dn, left, by_fours);
    write(sums, start, dr, left, by_fours);
    write(sums, start + width, dz, left, by_fours);
    write(sums, start + 2 * width, dn * reset, left, by_fours);
    write(direct, at.in_state, dh * update, left, by_fours);
}
