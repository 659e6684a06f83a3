//! Products in single precision: 256 units have a tile of 128 x 128 of the output, 8 x 8 numbers each, and go through
//! the inner axis in steps of 32, of which both operands lie in shared memory, the numbers along the inner axis one row
//! each. While a step is computed, the numbers of the next one are on their way into registers.

use burn_cubecl::cubecl::{self, prelude::*};

use super::cube::{Form, Sizes, TILE, add_and_store, part, read_of_step};
use crate::cube::Four;

/// Numbers along the inner axis that are in shared memory at once.
pub(super) const STEP: usize = 32;
/// Units of a cube.
pub(super) const UNITS: u32 = 256;
/// What the two operands need of a cube's shared memory.
pub(super) const SHARED_BYTES: usize = 2 * STEP * TILE * 4;

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
    let mut lefts = Shared::<[Four]>::new_slice(comptime!(STEP * TILE / 4));
    let mut rights = Shared::<[Four]>::new_slice(comptime!(STEP * TILE / 4));
    let mut next_left = Array::<Four>::new(4usize);
    let mut next_right = Array::<Four>::new(4usize);
    let mut sums = Array::<Four>::new(16usize);
    #[unroll]
    for index in 0..16usize {
        sums[index] = Four::new(0.0);
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
        add_products(&mut sums, &lefts, &rights);
        sync_cube();
    }
    let (y, x) = (UNIT_POS as usize / 16, UNIT_POS as usize % 16);
    #[unroll]
    for r in 0..8usize {
        let row = part.row + comptime!(r / 4 * 64) + 4 * y + comptime!(r % 4);
        #[unroll]
        for c in 0..2usize {
            let column = part.column + comptime!(c * 64) + 4 * x;
            add_and_store(sums[comptime!(2 * r + c)], bias, residual, output, row, column, &part, &sizes, form);
        }
    }
}

/// Reads the unit's 16 numbers of a step into registers, zeros beyond the edges. `first` and `count` are along the
/// outer axis of the operand, `inner` and `end` along the inner one; `pitch` is the distance between its rows.
#[cube]
fn fetch<N: Size>(
    source: &[Vector<f32, N>],
    found: &mut Array<Four>,
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
            outer += unit / 8 * 4 + index;
            place += unit % 8 * 4;
        } else {
            outer += unit % 32 * 4;
            place += unit / 32 + comptime!(8 * index);
        }
        let numbers = read_of_step(source, outer, count, place, end, pitch, along_inner, by_fours);
        found[index] = numbers;
    }
}

/// Puts what [`fetch`] read into shared memory. The fours of a row are in an order that depends on the row, so that
/// units that write or read at the same time use different banks of memory.
#[cube]
fn put(target: &mut Shared<[Four]>, found: &Array<Four>, #[comptime] along_inner: bool) {
    let unit = UNIT_POS as usize;
    #[unroll]
    for index in 0..4usize {
        if comptime!(along_inner) {
            let block = unit % 8;
            let mut across = Four::new(0.0);
            #[unroll]
            for other in 0..4usize {
                across.insert(other, found[other].extract(index));
            }
            target[(block * 4 + index) * 32 + ((unit / 8) ^ block)] = across;
        } else {
            let row = unit / 32 + comptime!(8 * index);
            target[row * 32 + ((unit % 32) ^ (row / 4))] = found[index];
        }
    }
}

/// Adds the products of a step: of the tile, the unit (y, x) has the rows 4 y to 4 y + 3 and 64 more, and likewise
/// columns.
#[cube]
fn add_products(sums: &mut Array<Four>, lefts: &Shared<[Four]>, rights: &Shared<[Four]>) {
    let (y, x) = (UNIT_POS as usize / 16, UNIT_POS as usize % 16);
    for block in 0..comptime!(STEP / 4) {
        #[unroll]
        for within in 0..4usize {
            let start = (block * 4 + within) * 32;
            let upper = lefts[start + (y ^ block)];
            let lower = lefts[start + ((y + 16) ^ block)];
            let near = rights[start + (x ^ block)];
            let far = rights[start + ((x + 16) ^ block)];
            #[unroll]
            for r in 0..4usize {
                sums[comptime!(2 * r)] += Four::new(upper.extract(r)) * near;
                sums[comptime!(2 * r + 1)] += Four::new(upper.extract(r)) * far;
                sums[comptime!(2 * r + 8)] += Four::new(lower.extract(r)) * near;
                sums[comptime!(2 * r + 9)] += Four::new(lower.extract(r)) * far;
            }
        }
    }
}
