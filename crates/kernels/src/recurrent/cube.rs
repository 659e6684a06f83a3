//! What the recurrent layers' GPU bodies share: buffers for whole sequences, the product backwards, sums.
//!
//! Every buffer holds a whole sequence, and a kernel works on the step that it is launched with. States lie in buffers
//! `[T + 1, B, H]` that begin with the initial one, so that no step is a special one. The products of the steps are in
//! single precision always, since their rounding adds up over the steps; the weight's gradient is one product of all
//! steps, in the precision of the other products.

use burn::backend::DispatchDevice;
use burn::backend::ops::FloatTensorOps;
use burn::tensor::{Shape, Tensor};
use burn_cubecl::CubeBackend;
use burn_cubecl::cubecl::client::Client;
use burn_cubecl::cubecl::server::{CubeCount, CubeDim};
use burn_cubecl::cubecl::{self, prelude::*};
use burn_cubecl::tensor::CubeTensor;

use super::cube_tile::{MOST_COLUMNS, MOST_ROWS, SHARED_BYTES, STAGE, Tile, UNITS, Work, add_up, sum_at};
use super::steps::Sizes;
use crate::choice::{GpuKernel, matrix_precision};
use crate::cube::{Four, cubes, empty, one_by_one, read, sizes, sum_of_rows, vector_size, write};
use crate::product::{Addends, ProductOps};

/// Cubes that keep a large device busy.
const BUSY: usize = 128;

/// Whether a GPU body works on the tensor: not if the device's cubes are too small.
pub(super) fn has_gpu_body(projected: &Tensor<3>) -> bool {
    if !GpuKernel::Recurrent.is_for(projected) || projected.shape().num_elements() == 0 {
        return false;
    }
    match projected.device().inner().as_dispatch() {
        DispatchDevice::Cube(device) => {
            let client = device.client();
            let hardware = &client.properties().hardware;
            hardware.max_units_per_cube as usize >= UNITS && hardware.max_shared_memory_size >= SHARED_BYTES
        }
        _ => false,
    }
}

/// What all kernels of a sequence are launched with.
pub(super) struct Sequence {
    pub(super) client: Client,
    pub(super) sizes: Sizes,
    gates: usize,
    by_fours: bool,
}

impl Sequence {
    /// Of projected inputs `[T, B, gates H]`.
    pub(super) fn new(projected: &CubeTensor, gates: usize) -> Self {
        let [steps, rows, columns] = sizes(projected);
        let sizes = Sizes { steps, rows, width: columns / gates };
        Self { client: projected.client.clone(), sizes, gates, by_fours: sizes.width.is_multiple_of(4) }
    }

    pub(super) fn vector_size(&self) -> usize {
        vector_size(self.by_fours)
    }

    fn tile_rows(&self) -> usize {
        self.sizes.rows.next_power_of_two().clamp(8, MOST_ROWS)
    }

    /// Cubes and units of a step forward, and its tile: the columns of the same units of all gates, so that it can
    /// compute their states too.
    pub(super) fn forward(&self) -> (CubeCount, CubeDim, Tile) {
        let Sizes { rows: batch, width: hidden, .. } = self.sizes;
        let rows = self.tile_rows();
        let count = |width: usize| batch.div_ceil(rows) * hidden.div_ceil(width);
        let width = if count(8) < BUSY { 4 } else { 8 };
        let tile = Tile { rows, blocks: self.gates, width, along_inner: false, by_fours: self.by_fours };
        (cubes(&self.client, count(width)), CubeDim::new_1d(tile.units() as u32), tile)
    }

    /// Cubes and units for four numbers of a state each.
    pub(super) fn pointwise(&self) -> (CubeCount, CubeDim) {
        one_by_one(&self.client, self.sizes.rows * self.sizes.width.div_ceil(4))
    }

    pub(super) fn by_fours(&self) -> bool {
        self.by_fours
    }

    /// How many parts the inner axis of the product backwards is cut into, and how long they are.
    fn parts(&self) -> (usize, usize) {
        let Sizes { rows, width, .. } = self.sizes;
        let inner = self.gates * width;
        let tiles = rows.div_ceil(self.tile_rows()) * width.div_ceil(MOST_COLUMNS);
        let length = inner.div_ceil(BUSY.div_ceil(tiles)).next_multiple_of(STAGE);
        (inner.div_ceil(length), length)
    }

    /// Room for the parts of [`multiply_back`](Self::multiply_back), and how many there are.
    pub(super) fn room_for_parts(&self, beside: &CubeTensor) -> (CubeTensor, usize) {
        let (parts, _) = self.parts();
        (empty(beside, [parts, self.sizes.rows, self.sizes.width]), parts)
    }

    /// The gradients of a step's sums times the transposed weight, in parts `[parts, B, H]`.
    pub(super) fn multiply_back(&self, gradients: &CubeTensor, weight: &CubeTensor, parts: &CubeTensor, step: usize) {
        let Sizes { rows, width, .. } = self.sizes;
        let (count, length) = self.parts();
        let tile =
            Tile { rows: self.tile_rows(), blocks: 1, width: MOST_COLUMNS, along_inner: true, by_fours: self.by_fours };
        multiply_back::launch(
            &self.client,
            cubes(&self.client, count * rows.div_ceil(tile.rows) * width.div_ceil(tile.width)),
            CubeDim::new_1d(tile.units() as u32),
            self.vector_size(),
            gradients.clone().into_buffer_arg(),
            weight.clone().into_buffer_arg(),
            parts.clone().into_buffer_arg(),
            step,
            rows,
            width,
            self.gates * width,
            length,
            tile,
        );
    }

    /// What the parts of a product backwards add up to, `[B, H]`.
    pub(super) fn sum_of_parts(&self, parts: CubeTensor) -> CubeTensor {
        let Sizes { rows, width, .. } = self.sizes;
        let total = empty(&parts, [rows, width]);
        let (cubes, units) = one_by_one(&self.client, rows * width);
        sum_of_rows::launch(&self.client, cubes, units, parts.into_buffer_arg(), total.clone().into_buffer_arg());
        total
    }

    /// An initial state with room for those of all steps after it, `[T + 1, B, H]`.
    pub(super) fn states_after(&self, initial: &CubeTensor) -> CubeTensor {
        let Sizes { steps, rows, width } = self.sizes;
        let states = empty(initial, [steps + 1, rows, width]);
        copy(initial, 0, &states, self.sizes.state());
        states
    }

    /// A copy of the state after the last step.
    pub(super) fn last(&self, states: &CubeTensor) -> CubeTensor {
        let Sizes { steps, rows, width } = self.sizes;
        let last = empty(states, [rows, width]);
        copy(states, steps * self.sizes.state(), &last, self.sizes.state());
        last
    }

    /// The sum over steps and rows of h_(t-1)^T d_t, `[H, gates H]`, of all states and the gradients of all sums.
    pub(super) fn weight_gradient(&self, states: &CubeTensor, gradients: &CubeTensor) -> CubeTensor {
        let Sizes { steps, rows, width } = self.sizes;
        let before = CubeBackend::float_swap_dims(seen_as(states, [steps * rows, width]), 0, 1);
        let gradients = seen_as(gradients, [steps * rows, self.gates * width]);
        let (bias, residual) = (gradients.clone(), gradients.clone());
        let addends = Addends { bias: false, residual: false };
        CubeBackend::product(before, gradients, bias, residual, addends, matrix_precision())
    }
}

/// Where four numbers of a state lie.
#[derive(CubeType, Clone, Copy)]
pub(super) struct Place {
    pub(super) row: usize,
    pub(super) column: usize,
    /// How many numbers there are from here to the end of the row.
    pub(super) left: usize,
    /// In the state, and in a sequence `[T, B, H]`.
    pub(super) in_state: usize,
    pub(super) in_sequence: usize,
    /// The row in a sequence.
    pub(super) sequence_row: usize,
}

#[cube]
pub(super) fn place_of_four(index: usize, step: usize, rows: usize, width: usize) -> Place {
    let fours = width.div_ceil(4usize);
    let row = index / fours;
    let column = index % fours * 4;
    let sequence_row = step * rows + row;
    let in_sequence = sequence_row * width + column;
    Place { row, column, left: width - column, in_state: row * width + column, in_sequence, sequence_row }
}

/// What the first `count` parts of a state, of `size` numbers each, add up to.
#[cube]
pub(super) fn sum_of<N: Size>(
    parts: &[Vector<f32, N>],
    at: &Place,
    count: usize,
    size: usize,
    #[comptime] by_fours: bool,
) -> Four {
    let mut sum = Four::new(0.0);
    for part in 0..count {
        sum += read(parts, part * size + at.in_state, at.left, by_fours);
    }
    sum
}

/// The first numbers of a contiguous tensor, in another shape.
fn seen_as<const D: usize>(tensor: &CubeTensor, shape: [usize; D]) -> CubeTensor {
    let (client, device) = (tensor.client.clone(), tensor.device.clone());
    CubeTensor::new_contiguous(client, device, Shape::new(shape), tensor.handle.clone(), tensor.dtype)
}

/// Copies `count` numbers from place `first` on to the beginning of another tensor.
pub(super) fn copy(source: &CubeTensor, first: usize, target: &CubeTensor, count: usize) {
    let (cubes, units) = one_by_one(&source.client, count);
    let (from, to) = (source.clone().into_buffer_arg(), target.clone().into_buffer_arg());
    copy_numbers::launch(&source.client, cubes, units, from, to, first, count);
}

#[cube(launch)]
fn copy_numbers(source: &[f32], target: &mut [f32], first: usize, count: usize) {
    let place = ABSOLUTE_POS;
    if place < count {
        target[place] = source[first + place];
    }
}

/// A cube for each tile of each part.
#[cube(launch)]
fn multiply_back<N: Size>(
    gradients: &[Vector<f32, N>],
    weight: &[Vector<f32, N>],
    parts: &mut [Vector<f32, N>],
    step: usize,
    rows: usize,
    width: usize,
    inner: usize,
    inner_of_a_part: usize,
    #[comptime] tile: Tile,
) {
    let across = width.div_ceil(tile.width);
    let tiles = across * rows.div_ceil(tile.rows);
    let part = CUBE_POS / tiles;
    let first = part * inner_of_a_part;
    if first >= inner {
        terminate!();
    }
    let place = CUBE_POS % tiles;
    let work = Work {
        row: place / across * tile.rows,
        rows,
        column: place % across * tile.width,
        columns: width,
        left: step * rows * inner,
        left_pitch: inner,
        right_pitch: inner,
        first,
        end: min(first + inner_of_a_part, inner),
    };
    let mut shared = Shared::<[Four]>::new_slice(comptime!(tile.shared_fours()));
    add_up(gradients, weight, &mut shared, &work, tile);
    let mut item = UNIT_POS as usize;
    while item < comptime!(tile.rows * tile.fours()) {
        let four = item % comptime!(tile.fours());
        let in_tile = item / comptime!(tile.fours());
        let row = work.row + in_tile;
        let column = work.column + 4 * four;
        if row < rows && column < width {
            let sum = sum_at(&shared, in_tile, four, tile);
            write(parts, (part * rows + row) * width + column, sum, width - column, tile.by_fours);
        }
        item += comptime!(tile.units());
    }
}

/// What a cube of a step forward multiplies: `states` of the step before with the weight's columns of all gates.
#[cube]
pub(super) fn work_forward(step: usize, rows: usize, width: usize, #[comptime] tile: Tile) -> Work {
    let across = width.div_ceil(tile.width);
    Work {
        row: CUBE_POS / across * tile.rows,
        rows,
        column: CUBE_POS % across * tile.width,
        columns: width,
        left: step * rows * width,
        left_pitch: width,
        right_pitch: comptime!(tile.blocks) * width,
        first: 0usize,
        end: width,
    }
}

/// 1 / (1 + exp(-x)).
#[cube]
pub(super) fn sigmoid(x: Four) -> Four {
    Four::new(1.0) / (Four::new(1.0) + (Four::new(0.0) - x).exp())
}

/// tanh(x) = 2 sigmoid(2 x) - 1, which has an absolute error of one rounding, and which no device computes wrongly for
/// large numbers.
#[cube]
pub(super) fn tanh(x: Four) -> Four {
    Four::new(2.0) * sigmoid(Four::new(2.0) * x) - Four::new(1.0)
}
