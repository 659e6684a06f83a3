//! Products on the units for small matrices (tensor cores): operands rounded to bfloat16 on their way into shared
//! memory, sums in single precision. Eight planes have a tile of 128 x 128 of the output, 64 x 32 numbers each.

use burn::tensor::bf16;
use burn_cubecl::cubecl::{self, prelude::*};

use super::cube::{Form, Part, Sizes, TILE, add_and_store, part, read_of_step};
use super::cube_single::STEP;
use crate::cube::Four;

/// Four numbers as they lie in shared memory.
type Short = Vector<bf16, Const<4>>;

/// Sides of the matrices that a plane multiplies at once.
const SIDE: usize = 16;
/// Numbers between the rows of an operand that lies along the inner axis: 8 more than a step, so that rows begin in
/// different banks.
const PITCH_ALONG: usize = STEP + 8;
/// Numbers between the rows of one that lies across it.
const PITCH_ACROSS: usize = TILE + 8;
/// What an operand needs in shared memory, in fours.
const FOURS: usize =
    if TILE * PITCH_ALONG > STEP * PITCH_ACROSS { TILE * PITCH_ALONG / 4 } else { STEP * PITCH_ACROSS / 4 };
/// What both operands and the tiles of sums on their way out need of a cube's shared memory.
pub(super) const SHARED_BYTES: usize = 2 * FOURS * 8 + PLANES * SIDE * SIDE * 4;
/// Planes of 32 units.
const PLANES: usize = 8;

#[cube(launch)]
pub(super) fn multiply<L: Size, R: Size, O: Size>(
    left: &[Vector<f32, L>],
    right: &[Vector<f32, R>],
    bias: &[Vector<f32, O>],
    residual: &[Vector<f32, O>],
    output: &mut [Vector<f32, O>],
    sizes: Sizes,
    #[comptime] form: Form,
) {
    let part = part(&sizes);
    if part.index >= sizes.parts {
        terminate!();
    }
    let mut lefts = Shared::<[Short]>::new_slice(FOURS);
    let mut rights = Shared::<[Short]>::new_slice(FOURS);
    let mut next_left = Array::<Short>::new(4usize);
    let mut next_right = Array::<Short>::new(4usize);
    let mut sums = Sequence::<cmma::Matrix<f32>>::new();
    #[unroll]
    for _ in 0..8usize {
        sums.push(cmma::Matrix::<f32>::from_value(
            cmma::MatrixIdent::Accumulator,
            SIDE,
            SIDE,
            SIDE,
            cmma::MatrixLayout::Undefined,
            0.0,
        ));
    }
    let end = min(part.first + sizes.inner_of_a_part, sizes.inner);
    fetch(
        left,
        &mut next_left,
        part.row,
        sizes.rows,
        part.first,
        end,
        sizes.left_pitch,
        form.left_along_inner,
        form.left_by_fours,
    );
    fetch(
        right,
        &mut next_right,
        part.column,
        sizes.columns,
        part.first,
        end,
        sizes.right_pitch,
        form.right_along_inner,
        form.right_by_fours,
    );
    let mut first = part.first;
    while first < end {
        put(&mut lefts, &next_left, form.left_along_inner);
        put(&mut rights, &next_right, form.right_along_inner);
        sync_cube();
        first += STEP;
        if first < end {
            fetch(
                left,
                &mut next_left,
                part.row,
                sizes.rows,
                first,
                end,
                sizes.left_pitch,
                form.left_along_inner,
                form.left_by_fours,
            );
            fetch(
                right,
                &mut next_right,
                part.column,
                sizes.columns,
                first,
                end,
                sizes.right_pitch,
                form.right_along_inner,
                form.right_by_fours,
            );
        }
        add_products(&sums, &lefts, &rights, form);
        sync_cube();
    }
    store(&sums, bias, residual, output, &part, &sizes, form);
}

/// As in single precision, but by 4 rows of 32 or 8 rows of 128 numbers that lie one after the other, and rounded.
#[cube]
fn fetch<N: Size>(
    source: &[Vector<f32, N>],
    found: &mut Array<Short>,
    first: usize,
    count: usize,
    inner: usize,
    end: usize,
    pitch: usize,
    #[comptime] along_inner: bool,
    #[comptime] by_fours: bool,
) {
    let unit = UNIT_POS as usize;
    #[unroll]
    for index in 0..4usize {
        let mut outer = first;
        let mut place = inner;
        if comptime!(along_inner) {
            outer += unit / 8 + comptime!(32 * index);
            place += unit % 8 * 4;
        } else {
            outer += unit % 32 * 4;
            place += unit / 32 + comptime!(8 * index);
        }
        let numbers = read_of_step(source, outer, count, place, end, pitch, along_inner, by_fours);
        found[index] = rounded::<bf16>(numbers);
    }
}

/// Rounded to the nearest bfloat16, as numbers of that type or of another one. The conversion alone cuts the lower bits
/// off on some drivers, of which [`nearest`] leaves none.
#[cube]
pub(crate) fn rounded<E: Float>(numbers: Four) -> Vector<E, Const<4>> {
    Vector::<E, Const<4>>::cast_from(nearest(numbers))
}

/// The nearest numbers that a bfloat16 has, ties to even; infinity and NaN stay what they are.
#[cube]
fn nearest(numbers: Four) -> Four {
    let mut nearest = numbers;
    #[unroll]
    for index in 0..4usize {
        let number = numbers.extract(index);
        let bits = u32::reinterpret(number);
        let odd = (bits >> 16) & 1;
        let up = f32::reinterpret((bits + 0x7FFF + odd) & 0xFFFF_0000);
        let is_finite = (bits & 0x7F80_0000) != 0x7F80_0000;
        nearest.insert(index, select(is_finite, up, number));
    }
    nearest
}

/// [`nearest`] alone, for a test on devices that do not multiply in mixed precision.
#[cfg(test)]
#[cube(launch)]
pub(super) fn nearest_of_all(numbers: &[Four], found: &mut [Four]) {
    if ABSOLUTE_POS < numbers.len() {
        found[ABSOLUTE_POS] = nearest(numbers[ABSOLUTE_POS]);
    }
}

#[cube]
fn put(target: &mut Shared<[Short]>, found: &Array<Short>, #[comptime] along_inner: bool) {
    let unit = UNIT_POS as usize;
    #[unroll]
    for index in 0..4usize {
        if comptime!(along_inner) {
            target[(unit / 8 + comptime!(32 * index)) * comptime!(PITCH_ALONG / 4) + unit % 8] = found[index];
        } else {
            target[(unit / 32 + comptime!(8 * index)) * comptime!(PITCH_ACROSS / 4) + unit % 32] = found[index];
        }
    }
}

/// Adds the products of a step: of the tile, plane p has 64 rows from 64 (p / 4) and 32 columns from 32 (p % 4).
#[cube]
fn add_products(
    sums: &Sequence<cmma::Matrix<f32>>,
    lefts: &Shared<[Short]>,
    rights: &Shared<[Short]>,
    #[comptime] form: Form,
) {
    let plane = UNIT_POS as usize / 32;
    let (row, column) = (plane / 4 * 64, plane % 4 * 32);
    #[unroll]
    for inner in 0..2usize {
        let mut columns = Sequence::<cmma::Matrix<Short>>::new();
        #[unroll]
        for c in 0..2usize {
            columns.push(right_matrix(
                rights,
                column + comptime!(c * SIDE),
                comptime!(inner * SIDE),
                form.right_along_inner,
            ));
        }
        #[unroll]
        for r in 0..4usize {
            let rows = left_matrix(lefts, row + comptime!(r * SIDE), comptime!(inner * SIDE), form.left_along_inner);
            #[unroll]
            for c in 0..2usize {
                let sum = &sums[comptime!(2 * r + c)];
                cmma::execute(&rows, &columns[c], sum, sum);
            }
        }
    }
}

/// 16 x 16 numbers of the left operand, of which the rows begin at `row`.
#[cube]
fn left_matrix(
    lefts: &Shared<[Short]>,
    row: usize,
    inner: usize,
    #[comptime] along_inner: bool,
) -> cmma::Matrix<Short> {
    if comptime!(along_inner) {
        let start = (row * PITCH_ALONG + inner) / 4;
        let rows = &lefts[start..FOURS];
        let (ident, layout) = (cmma::MatrixIdent::A, cmma::MatrixLayout::RowMajor);
        cmma::Matrix::<Short>::from_slice(ident, SIDE, SIDE, SIDE, layout, rows, PITCH_ALONG as u32)
    } else {
        let start = (inner * PITCH_ACROSS + row) / 4;
        let rows = &lefts[start..FOURS];
        let (ident, layout) = (cmma::MatrixIdent::A, cmma::MatrixLayout::ColMajor);
        cmma::Matrix::<Short>::from_slice(ident, SIDE, SIDE, SIDE, layout, rows, PITCH_ACROSS as u32)
    }
}

/// 16 x 16 numbers of the right operand, of which the columns begin at `column`.
#[cube]
fn right_matrix(
    rights: &Shared<[Short]>,
    column: usize,
    inner: usize,
    #[comptime] along_inner: bool,
) -> cmma::Matrix<Short> {
    if comptime!(along_inner) {
        let start = (column * PITCH_ALONG + inner) / 4;
        let columns = &rights[start..FOURS];
        let (ident, layout) = (cmma::MatrixIdent::B, cmma::MatrixLayout::ColMajor);
        cmma::Matrix::<Short>::from_slice(ident, SIDE, SIDE, SIDE, layout, columns, PITCH_ALONG as u32)
    } else {
        let start = (inner * PITCH_ACROSS + column) / 4;
        let columns = &rights[start..FOURS];
        let (ident, layout) = (cmma::MatrixIdent::B, cmma::MatrixLayout::RowMajor);
        cmma::Matrix::<Short>::from_slice(ident, SIDE, SIDE, SIDE, layout, columns, PITCH_ACROSS as u32)
    }
}

/// Takes the sums, one small matrix after the other, through shared memory to where they belong.
#[cube]
fn store<N: Size>(
    sums: &Sequence<cmma::Matrix<f32>>,
    bias: &[Vector<f32, N>],
    residual: &[Vector<f32, N>],
    output: &mut [Vector<f32, N>],
    part: &Part,
    sizes: &Sizes,
    #[comptime] form: Form,
) {
    let mut passing = Shared::<[Four]>::new_slice(comptime!(PLANES * SIDE * SIDE / 4));
    let plane = UNIT_POS as usize / 32;
    let within = UNIT_POS as usize % 32;
    let start = plane * comptime!(SIDE * SIDE / 4);
    let (row, column) = (part.row + plane / 4 * 64, part.column + plane % 4 * 32);
    #[unroll]
    for r in 0..4usize {
        #[unroll]
        for c in 0..2usize {
            let end = start + comptime!(SIDE * SIDE / 4);
            let sum = &sums[comptime!(2 * r + c)];
            cmma::store(&mut passing[start..end], sum, SIDE as u32, cmma::MatrixLayout::RowMajor);
            sync_cube();
            #[unroll]
            for half in 0..2usize {
                let place = within + comptime!(32 * half);
                let (row, column) =
                    (row + comptime!(r * SIDE) + place / 4, column + comptime!(c * SIDE) + place % 4 * 4);
                add_and_store(passing[start + place], bias, residual, output, row, column, part, sizes, form);
            }
            sync_cube();
        }
    }
}
