//! What both kernels share: how the work is cut up, and what happens to a number on its way out. A long inner axis is
//! cut into parts, whose sums are added up afterwards, always in the same order, so that a small output keeps the whole
//! device busy too.

use burn::backend::tensor::FloatTensor;
use burn::tensor::DType;
use burn_cubecl::CubeBackend;
use burn_cubecl::cubecl::client::Client;
use burn_cubecl::cubecl::ir::{ElemType, FloatKind};
use burn_cubecl::cubecl::{self, prelude::*};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;

use super::cube_single::{STEP, UNITS};
use super::operation::{Addends, ProductOps};
use super::{MatrixPrecision, cube_mixed, cube_single};
use crate::cube::{Four, cubes, empty, one_by_one, read, sizes, sum_of_rows, vector_size, write};

/// Rows and columns of the output that a cube has.
pub(super) const TILE: usize = 128;
/// Cubes that keep a large device busy: two for each of its processors, which Vulkan does not tell the number of.
const BUSY: usize = 264;
/// The least that a part of the inner axis has.
const LEAST_PART: usize = 256;

/// What the kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Form {
    /// Whether neighbours in memory are neighbours along the inner axis, or across it.
    pub(super) left_along_inner: bool,
    pub(super) right_along_inner: bool,
    /// Whether they are read, and the output is written, by fours.
    pub(super) left_by_fours: bool,
    pub(super) right_by_fours: bool,
    pub(super) output_by_fours: bool,
    pub(super) adds_bias: bool,
    pub(super) adds_residual: bool,
}

/// The sizes of a product of [rows, inner] and [inner, columns].
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub(super) struct Sizes {
    pub(super) rows: usize,
    pub(super) inner: usize,
    pub(super) columns: usize,
    /// From one row of an operand, as it lies, to the next.
    pub(super) left_pitch: usize,
    pub(super) right_pitch: usize,
    /// How many parts the inner axis is cut into, and the numbers of each but the last.
    pub(super) parts: usize,
    pub(super) inner_of_a_part: usize,
}

/// What a cube has to do.
#[derive(CubeType, Clone, Copy)]
pub(super) struct Part {
    /// Which part of the inner axis, and where it begins.
    pub(super) index: usize,
    pub(super) first: usize,
    /// Where its tile of the output begins.
    pub(super) row: usize,
    pub(super) column: usize,
}

/// Tiles that are computed at about the same time lie in eight rows of tiles, so that they share what they read.
#[cube]
pub(super) fn part(sizes: &Sizes) -> Part {
    let down = sizes.rows.div_ceil(TILE);
    let across = sizes.columns.div_ceil(TILE);
    let index = CUBE_POS / (down * across);
    let place = CUBE_POS % (down * across);
    let group = place / (8 * across);
    let height = min(down - group * 8, 8usize);
    let within = place % (8 * across);
    let row = (group * 8 + within % height) * TILE;
    Part { index, first: index * sizes.inner_of_a_part, row, column: within / height * TILE }
}

/// Four numbers of an operand that lie one after the other, zeros beyond the edges. `outer` and `count` are along the
/// outer axis of the operand, `inner` and `end` along the inner one; `pitch` is the distance between its rows.
#[cube]
pub(super) fn read_of_step<N: Size>(
    source: &[Vector<f32, N>],
    outer: usize,
    count: usize,
    inner: usize,
    end: usize,
    pitch: usize,
    #[comptime] along_inner: bool,
    #[comptime] by_fours: bool,
) -> Four {
    let mut numbers = Four::new(0.0);
    if outer < count && inner < end {
        if comptime!(along_inner) {
            numbers = read(source, outer * pitch + inner, end - inner, by_fours);
        } else {
            numbers = read(source, inner * pitch + outer, count - outer, by_fours);
        }
    }
    numbers
}

/// Adds bias and residual to four sums of one row and writes them, as far as they are within the output.
#[cube]
pub(super) fn add_and_store<N: Size>(
    sums: Four,
    bias: &[Vector<f32, N>],
    residual: &[Vector<f32, N>],
    output: &mut [Vector<f32, N>],
    row: usize,
    column: usize,
    part: &Part,
    sizes: &Sizes,
    #[comptime] form: Form,
) {
    if row < sizes.rows && column < sizes.columns {
        let place = row * sizes.columns + column;
        let count = sizes.columns - column;
        let mut numbers = sums;
        if comptime!(form.adds_bias) {
            numbers += read(bias, column, count, form.output_by_fours);
        }
        if comptime!(form.adds_residual) {
            numbers += read(residual, place, count, form.output_by_fours);
        }
        let place = part.index * sizes.rows * sizes.columns + place;
        write(output, place, numbers, count, form.output_by_fours);
    }
}

/// Whether the device has the units and the shared memory for these kernels.
pub(super) fn is_possible(client: &Client, precision: MatrixPrecision) -> bool {
    let hardware = &client.properties().hardware;
    let has = |bytes: usize| hardware.max_units_per_cube >= UNITS && hardware.max_shared_memory_size >= bytes;
    match precision {
        MatrixPrecision::Single => has(cube_single::SHARED_BYTES),
        MatrixPrecision::Mixed => mixed_lacks(client).is_none(),
    }
}

/// What the device lacks for mixed precision, as a clause; `None` if nothing.
pub(crate) fn mixed_lacks(client: &Client) -> Option<String> {
    let properties = client.properties();
    let hardware = &properties.hardware;
    let (short, single) = (ElemType::Float(FloatKind::BF16), ElemType::Float(FloatKind::F32));
    let is_wanted = |product: &cubecl::ir::features::MmaConfig| {
        (product.a_type, product.b_type, product.cd_type) == (short, short, single)
            && [product.m, product.n, product.k] == [16; 3]
    };
    if !properties.features.matmul.cmma.iter().any(is_wanted) {
        return Some(
            "its driver offers no cooperative matrices of bfloat16, 16 x 16 x 16, with sums in f32 (`kiln devices`)"
                .to_owned(),
        );
    }
    let [least, most] = [hardware.plane_size_min, hardware.plane_size_max];
    if [least, most] != [32; 2] {
        return Some(format!("Kiln's kernels for it need planes of 32 units, and this device has {least} to {most}"));
    }
    if hardware.max_shared_memory_size < cube_mixed::SHARED_BYTES || hardware.max_units_per_cube < UNITS {
        return Some(format!("a cube needs {} bytes of shared memory and {UNITS} units", cube_mixed::SHARED_BYTES));
    }
    None
}

impl ProductOps for CubeBackend {
    fn product(
        left: FloatTensor<Self>,
        right: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        addends: Addends,
        precision: MatrixPrecision,
    ) -> FloatTensor<Self> {
        let ([rows, inner], [_, columns]) = (sizes(&left), sizes(&right));
        let (left, left_along_inner, left_pitch) = operand(left, 1);
        let (right, right_along_inner, right_pitch) = operand(right, 0);
        let (parts, inner_of_a_part) = parts(rows, inner, columns, addends);
        let output = empty(&left, [parts * rows, columns]);
        let client = left.client.clone();
        let by_fours = |contiguous: usize, pitch: usize| contiguous.is_multiple_of(4) && pitch.is_multiple_of(4);
        let form = Form {
            left_along_inner,
            right_along_inner,
            left_by_fours: by_fours(if left_along_inner { inner } else { rows }, left_pitch),
            right_by_fours: by_fours(if right_along_inner { inner } else { columns }, right_pitch),
            output_by_fours: by_fours(columns, columns),
            adds_bias: addends.bias,
            adds_residual: addends.residual,
        };
        let count = cubes(&client, parts * rows.div_ceil(TILE) * columns.div_ceil(TILE));
        let launch = match precision {
            MatrixPrecision::Single => cube_single::multiply::launch,
            MatrixPrecision::Mixed => cube_mixed::multiply::launch,
        };
        launch(
            &client,
            count,
            CubeDim::new_1d(UNITS),
            vector_size(form.left_by_fours),
            vector_size(form.right_by_fours),
            vector_size(form.output_by_fours),
            left.into_buffer_arg(),
            right.into_buffer_arg(),
            into_contiguous(bias).into_buffer_arg(),
            into_contiguous(residual).into_buffer_arg(),
            output.clone().into_buffer_arg(),
            SizesLaunch::new(rows, inner, columns, left_pitch, right_pitch, parts, inner_of_a_part),
            form,
        );
        if parts == 1 {
            return output;
        }
        let total = empty(&output, [rows, columns]);
        let (count, units) = one_by_one(&client, rows * columns);
        sum_of_rows::launch(&client, count, units, output.into_buffer_arg(), total.clone().into_buffer_arg());
        total
    }
}

/// An operand as the kernels read it, whether neighbours in memory are neighbours along its inner axis (`inner`), and
/// its pitch.
fn operand(tensor: CubeTensor, inner: usize) -> (CubeTensor, bool, usize) {
    debug_assert_eq!(tensor.dtype, DType::F32);
    let strides = |tensor: &CubeTensor| [tensor.meta.strides()[0], tensor.meta.strides()[1]];
    let given = strides(&tensor);
    for near in [1, 0] {
        if given[near] == 1 {
            return (tensor, near == inner, given[1 - near]);
        }
    }
    let tensor = into_contiguous(tensor);
    let pitch = strides(&tensor)[0];
    (tensor, inner == 1, pitch)
}

/// How many parts the inner axis is cut into, and how long they are.
fn parts(rows: usize, inner: usize, columns: usize, addends: Addends) -> (usize, usize) {
    let tiles = rows.div_ceil(TILE) * columns.div_ceil(TILE);
    let most = if addends.bias || addends.residual { 1 } else { (inner / LEAST_PART).max(1) };
    let wanted = (BUSY / tiles).clamp(1, most);
    let length = inner.div_ceil(wanted).next_multiple_of(STEP);
    (inner.div_ceil(length).max(1), length)
}
