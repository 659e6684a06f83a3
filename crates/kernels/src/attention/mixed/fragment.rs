//! Sums of products of 16 x 16 matrices that a plane of 32 units has: on the units for small matrices, or, for tests on
//! devices without them, by ordinary units.

use burn_cubecl::cubecl::{self, prelude::*};

use crate::cube::Four;

/// Sides of the matrices.
pub(super) const SIDE: usize = 16;

/// Four numbers of an operand as they lie in shared memory.
pub(super) type Short<E> = Vector<E, Const<4>>;

/// 16 rows of sums, 16 columns in each matrix. By ordinary units, the unit u has half a row: 8 numbers of row u / 2.
#[derive(CubeType)]
pub(super) struct Sums {
    matrices: Sequence<cmma::Matrix<f32>>,
    halves: Sequence<Array<f32>>,
}

/// Nothing yet, in `count` matrices.
#[cube]
pub(super) fn no_sums(#[comptime] count: usize, #[comptime] is_emulated: bool) -> Sums {
    let mut matrices = Sequence::<cmma::Matrix<f32>>::new();
    let mut halves = Sequence::<Array<f32>>::new();
    #[unroll]
    for _ in 0..count {
        if comptime!(is_emulated) {
            let mut half = Array::<f32>::new(8usize);
            #[unroll]
            for index in 0..8usize {
                half[index] = f32::new(0.0);
            }
            halves.push(half);
        } else {
            matrices.push(cmma::Matrix::<f32>::from_value(
                cmma::MatrixIdent::Accumulator,
                SIDE,
                SIDE,
                SIDE,
                cmma::MatrixLayout::Undefined,
                0.0,
            ));
        }
    }
    Sums { matrices, halves }
}

/// Adds the products of 16 rows of `left` with 16 columns of `right` for each of `columns` matrices of sums; `inner`
/// matrices lie along the inner axis. A right operand lies by rows, or each of its columns is a row.
#[cube]
pub(super) fn add_products<E: Float>(
    sums: &mut Sums,
    left: &Shared<[Short<E>]>,
    left_start: usize,
    #[comptime] left_pitch: usize,
    right: &Shared<[Short<E>]>,
    #[comptime] right_pitch: usize,
    #[comptime] right_by_rows: bool,
    #[comptime] inner: usize,
    #[comptime] columns: usize,
    #[comptime] is_emulated: bool,
) {
    #[unroll]
    for along in 0..inner {
        let left_start = left_start + comptime!(along * SIDE);
        if comptime!(is_emulated) {
            #[unroll]
            for column in 0..columns {
                let start = comptime!(place_of(along, column, right_pitch, right_by_rows));
                let half = sums.halves.index_mut(column);
                add_half::<E>(half, left, left_start, left_pitch, right, start, right_pitch, right_by_rows);
            }
        } else {
            let rows = cmma::Matrix::<Short<E>>::from_slice(
                cmma::MatrixIdent::A,
                SIDE,
                SIDE,
                SIDE,
                cmma::MatrixLayout::RowMajor,
                &left[left_start / 4..left.len()],
                left_pitch as u32,
            );
            #[unroll]
            for column in 0..columns {
                let start = comptime!(place_of(along, column, right_pitch, right_by_rows) / 4);
                let layout =
                    comptime!(if right_by_rows { cmma::MatrixLayout::RowMajor } else { cmma::MatrixLayout::ColMajor });
                let right = cmma::Matrix::<Short<E>>::from_slice(
                    cmma::MatrixIdent::B,
                    SIDE,
                    SIDE,
                    SIDE,
                    layout,
                    &right[start..right.len()],
                    right_pitch as u32,
                );
                let sum = &sums.matrices[column];
                cmma::execute(&rows, &right, sum, sum);
            }
        }
    }
}

/// Where a matrix of the right operand begins.
fn place_of(along: usize, column: usize, pitch: usize, by_rows: bool) -> usize {
    let (row, column) = if by_rows { (along, column) } else { (column, along) };
    SIDE * (row * pitch + column)
}

#[cube]
fn add_half<E: Float>(
    half: &mut Array<f32>,
    left: &Shared<[Short<E>]>,
    left_start: usize,
    #[comptime] left_pitch: usize,
    right: &Shared<[Short<E>]>,
    #[comptime] right_start: usize,
    #[comptime] right_pitch: usize,
    #[comptime] right_by_rows: bool,
) {
    let unit = UNIT_POS as usize % 32;
    for along in 0..SIDE {
        let factor = number(left, left_start + unit / 2 * left_pitch + along);
        #[unroll]
        for index in 0..8usize {
            let column = unit % 2 * 8 + index;
            let mut place = right_start + column * right_pitch + along;
            if comptime!(right_by_rows) {
                place = right_start + along * right_pitch + column;
            }
            half[index] += factor * number(right, place);
        }
    }
}

#[cube]
fn number<E: Float>(numbers: &Shared<[Short<E>]>, place: usize) -> f32 {
    f32::cast_from(numbers[place / 4].extract_dynamic(place % 4))
}

/// Puts a matrix of sums into shared memory, by rows, from the number `start` on.
#[cube]
pub(super) fn put(
    target: &mut Shared<[Four]>,
    sums: &Sums,
    #[comptime] index: usize,
    start: usize,
    #[comptime] pitch: usize,
    #[comptime] is_emulated: bool,
) {
    if comptime!(is_emulated) {
        put_half(target, sums.halves.index(index), start, pitch);
    } else {
        let end = target.len();
        let layout = cmma::MatrixLayout::RowMajor;
        cmma::store(&mut target[start / 4..end], &sums.matrices[index], pitch as u32, layout);
    }
}

#[cube]
fn put_half(target: &mut Shared<[Four]>, half: &Array<f32>, start: usize, #[comptime] pitch: usize) {
    let unit = UNIT_POS as usize % 32;
    let place = (start + unit / 2 * pitch + unit % 2 * 8) / 4;
    #[unroll]
    for four in 0..2usize {
        let mut numbers = Four::new(0.0);
        #[unroll]
        for index in 0..4usize {
            numbers.insert(index, half[comptime!(4 * four + index)]);
        }
        target[place + four] = numbers;
    }
}
