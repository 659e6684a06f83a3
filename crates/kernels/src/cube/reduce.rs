//! Sums and maxima over the units of a cube, of which there is a power of two.

use burn_cubecl::cubecl::{self, prelude::*};
use burn_cubecl::tensor::CubeTensor;

use super::{empty, one_by_one};

/// The sum of the values of all units, in the same order in every run. `scratch` has a place for each unit; all units
/// of the cube must come here.
#[cube]
pub(crate) fn cube_sum(value: f32, scratch: &mut Shared<[f32]>) -> f32 {
    let unit = UNIT_POS as usize;
    scratch[unit] = value;
    sync_cube();
    let mut active = CUBE_DIM as usize / 2;
    while active > 0 {
        if unit < active {
            let other = scratch[unit + active];
            scratch[unit] += other;
        }
        sync_cube();
        active /= 2;
    }
    let total = scratch[0];
    // Nobody writes before everybody has read.
    sync_cube();
    total
}

/// The largest of the values of all units; as [`cube_sum`].
#[cube]
pub(crate) fn cube_max(value: f32, scratch: &mut Shared<[f32]>) -> f32 {
    let unit = UNIT_POS as usize;
    scratch[unit] = value;
    sync_cube();
    let mut active = CUBE_DIM as usize / 2;
    while active > 0 {
        if unit < active {
            let other = scratch[unit + active];
            if other > scratch[unit] {
                scratch[unit] = other;
            }
        }
        sync_cube();
        active /= 2;
    }
    let largest = scratch[0];
    sync_cube();
    largest
}

/// The sum of the rows of a matrix; a unit for each column.
#[cube(launch)]
pub(crate) fn sum_of_rows(parts: &[f32], total: &mut [f32]) {
    let column = ABSOLUTE_POS;
    if column >= total.len() {
        terminate!();
    }
    let mut sum = f32::new(0.0);
    let mut place = column;
    while place < parts.len() {
        sum += parts[place];
        place += total.len();
    }
    total[column] = sum;
}

/// Rows that one unit adds up first when columns are added up.
const ROWS_OF_A_PART: usize = 64;

/// The sums of the columns of a contiguous matrix, in two steps and always in the same order.
pub(crate) fn column_sums(matrix: &CubeTensor, rows: usize, width: usize) -> CubeTensor {
    let client = &matrix.client;
    let parts = rows.div_ceil(ROWS_OF_A_PART);
    let of_parts = empty(matrix, [parts, width]);
    let (cubes, units) = one_by_one(client, parts * width);
    sums_of_some_rows::launch(
        client,
        cubes,
        units,
        matrix.clone().into_buffer_arg(),
        of_parts.clone().into_buffer_arg(),
        rows,
        width,
        ROWS_OF_A_PART,
    );
    let total = empty(matrix, [width]);
    let (cubes, units) = one_by_one(client, width);
    sum_of_rows::launch(client, cubes, units, of_parts.into_buffer_arg(), total.clone().into_buffer_arg());
    total
}

/// The sum of each part of the rows; a unit for each column of each part.
#[cube(launch)]
fn sums_of_some_rows(matrix: &[f32], parts: &mut [f32], rows: usize, width: usize, #[comptime] rows_of_a_part: usize) {
    let place = ABSOLUTE_POS;
    if place >= parts.len() {
        terminate!();
    }
    let column = place % width;
    let first = place / width * rows_of_a_part;
    let mut sum = f32::new(0.0);
    for step in 0..rows_of_a_part {
        let row = first + step;
        if row < rows {
            sum += matrix[row * width + column];
        }
    }
    parts[place] = sum;
}
