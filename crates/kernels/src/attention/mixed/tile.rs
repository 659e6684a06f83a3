//! How the kernels cut attention up. A cube has some rows of its own, queries or keys, and goes through tiles of 32
//! others. Of its rows each plane has 16, of whose scores against a tile each unit has half a row.

use burn_cubecl::cubecl::{self, prelude::*};

use super::fragment::{SIDE, Short, Sums, add_products, no_sums, put};
use crate::attention::geometry::AttentionHeads;
use crate::cube::{Four, read, write};
use crate::product::rounded;

/// Rows of the tiles that a cube goes through.
pub(super) const OTHERS: usize = 32;
/// Scores of a row that a unit has.
pub(super) const HALF: usize = 16;
/// Numbers between rows of scores, of which neighbours begin in different banks of memory.
pub(super) const SCORES_PITCH: usize = OTHERS + 4;
/// The same, of rounded weights.
pub(super) const WEIGHTS_PITCH: usize = OTHERS + 8;
/// Less than any score; not -infinity, which not every shading language has as a constant.
pub(super) const FORBIDDEN: f32 = -3.0e38;

/// What the kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Form {
    pub(super) planes: usize,
    pub(super) heads: AttentionHeads,
    pub(super) is_capped: bool,
    /// Whether ordinary units multiply, in single precision.
    pub(super) is_emulated: bool,
}

impl Form {
    /// Rows that a cube has.
    pub(super) fn own(self) -> usize {
        SIDE * self.planes
    }

    pub(super) fn units(self) -> u32 {
        32 * self.planes as u32
    }

    /// Columns of a head, filled up with zeros.
    pub(super) fn columns(self) -> usize {
        self.heads.width.next_multiple_of(SIDE)
    }

    /// Matrices across a head.
    pub(super) fn across(self) -> usize {
        self.columns() / SIDE
    }

    /// Numbers between rows of heads in shared memory.
    pub(super) fn pitch(self) -> usize {
        self.columns() + 8
    }

    /// Whether heads are read and written by fours.
    pub(super) fn by_fours(self) -> bool {
        self.heads.width.is_multiple_of(4)
    }

    /// Fours of `rows` rows of heads.
    pub(super) fn fours(self, rows: usize) -> usize {
        rows * self.pitch() / 4
    }

    /// Of `rows` rows of heads, the fours that a unit fetches.
    pub(super) fn fours_of_a_unit(self, rows: usize) -> usize {
        (rows * self.columns() / 4).div_ceil(self.units() as usize)
    }

    /// Fours of the scores of a cube.
    pub(super) fn fours_of_scores(self) -> usize {
        self.own() * SCORES_PITCH / 4
    }

    /// Fours of the weights of a cube.
    pub(super) fn fours_of_weights(self) -> usize {
        self.own() * WEIGHTS_PITCH / 4
    }

    /// The most that a kernel needs of a cube's shared memory: the backward pass of keys and values.
    pub(super) fn shared_bytes(self) -> usize {
        let number = if self.is_emulated { 4 } else { 2 };
        let heads = 4 * self.fours(2 * self.own() + 2 * OTHERS);
        number * (heads + 2 * 4 * self.fours_of_weights()) + 16 * self.fours_of_scores() + 4 * 2 * OTHERS
    }
}

/// The unit's part of rows `first..first + rows` of a head, zeros beyond the last step and the last column. `start` is
/// the place of the head's first number, `stride` what lies between its rows. Nobody waits for the numbers before they
/// are [put](put_rows) into shared memory.
#[cube]
pub(super) fn fetch_rows<N: Size>(
    found: &mut Array<Four>,
    source: &[Vector<f32, N>],
    first: usize,
    steps: usize,
    start: usize,
    stride: usize,
    #[comptime] rows: usize,
    #[comptime] form: Form,
) {
    let across = comptime!(form.columns() / 4);
    let width = comptime!(form.heads.width);
    #[unroll]
    for part in 0..comptime!(form.fours_of_a_unit(rows)) {
        let index = UNIT_POS as usize + comptime!(part * form.units() as usize);
        let row = index / across;
        let column = index % across * 4;
        let mut numbers = Four::new(0.0);
        if row < rows && first + row < steps && column < width {
            numbers = read(source, start + (first + row) * stride + column, width - column, form.by_fours());
        }
        found[part] = numbers;
    }
}

/// Room for what [`fetch_rows`] finds.
#[cube]
pub(super) fn room_for_rows(#[comptime] rows: usize, #[comptime] form: Form) -> Array<Four> {
    Array::<Four>::new(comptime!(form.fours_of_a_unit(rows)))
}

/// Puts what [`fetch_rows`] found into shared memory, rounded.
#[cube]
pub(super) fn put_rows<E: Float>(
    target: &mut Shared<[Short<E>]>,
    found: &Array<Four>,
    #[comptime] rows: usize,
    #[comptime] form: Form,
) {
    let across = comptime!(form.columns() / 4);
    #[unroll]
    for part in 0..comptime!(form.fours_of_a_unit(rows)) {
        let index = UNIT_POS as usize + comptime!(part * form.units() as usize);
        let row = index / across;
        if row < rows {
            target[row * comptime!(form.pitch() / 4) + index % across] = rounded::<E>(found[part]);
        }
    }
}

/// Copies rows of a head into shared memory, rounded; as [`fetch_rows`].
#[cube]
pub(super) fn load<E: Float, N: Size>(
    target: &mut Shared<[Short<E>]>,
    source: &[Vector<f32, N>],
    first: usize,
    steps: usize,
    start: usize,
    stride: usize,
    #[comptime] rows: usize,
    #[comptime] form: Form,
) {
    let mut found = room_for_rows(rows, form);
    fetch_rows(&mut found, source, first, steps, start, stride, rows, form);
    put_rows::<E>(target, &found, rows, form);
}

/// The products of the plane's rows of `own` with all rows of `others`.
#[cube]
pub(super) fn products<E: Float>(
    own: &Shared<[Short<E>]>,
    others: &Shared<[Short<E>]>,
    #[comptime] form: Form,
) -> Sums {
    let plane = UNIT_POS as usize / 32;
    let pitch = comptime!(form.pitch());
    let mut sums = no_sums(comptime!(OTHERS / SIDE), form.is_emulated);
    add_products::<E>(
        &mut sums,
        own,
        plane * comptime!(SIDE * form.pitch()),
        pitch,
        others,
        pitch,
        false,
        comptime!(form.across()),
        comptime!(OTHERS / SIDE),
        form.is_emulated,
    );
    sums
}

/// Puts products into the plane's part of the scores.
#[cube]
pub(super) fn share(scores: &mut Shared<[Four]>, sums: &Sums, #[comptime] form: Form) {
    let plane = UNIT_POS as usize / 32;
    #[unroll]
    for index in 0..comptime!(OTHERS / SIDE) {
        let start = plane * comptime!(SIDE * SCORES_PITCH) + comptime!(index * SIDE);
        put(scores, sums, index, start, SCORES_PITCH, form.is_emulated);
    }
}

/// The unit's half of a row of scores.
#[cube]
pub(super) fn half_of_row(scores: &Shared<[Four]>) -> Array<f32> {
    let mut half = Array::<f32>::new(HALF);
    let row = UNIT_POS as usize / 2;
    let start = (row * SCORES_PITCH + UNIT_POS as usize % 2 * HALF) / 4;
    #[unroll]
    for four in 0..comptime!(HALF / 4) {
        let numbers = scores[start + four];
        #[unroll]
        for index in 0..4usize {
            half[comptime!(4 * four + index)] = numbers.extract(index);
        }
    }
    half
}

/// Puts the unit's half of a row of weights where [`add_products`] reads them, rounded.
#[cube]
pub(super) fn share_half<E: Float>(target: &mut Shared<[Short<E>]>, half: &Array<f32>) {
    let row = UNIT_POS as usize / 2;
    let start = (row * WEIGHTS_PITCH + UNIT_POS as usize % 2 * HALF) / 4;
    #[unroll]
    for four in 0..comptime!(HALF / 4) {
        let mut numbers = Four::new(0.0);
        #[unroll]
        for index in 0..4usize {
            numbers.insert(index, half[comptime!(4 * four + index)]);
        }
        target[start + four] = rounded::<E>(numbers);
    }
}

/// Adds the plane's rows of weights times all rows of `others`.
#[cube]
pub(super) fn add_weighted<E: Float>(
    sums: &mut Sums,
    weights: &Shared<[Short<E>]>,
    others: &Shared<[Short<E>]>,
    #[comptime] form: Form,
) {
    let plane = UNIT_POS as usize / 32;
    add_products::<E>(
        sums,
        weights,
        plane * comptime!(SIDE * WEIGHTS_PITCH),
        WEIGHTS_PITCH,
        others,
        comptime!(form.pitch()),
        true,
        comptime!(OTHERS / SIDE),
        comptime!(form.across()),
        form.is_emulated,
    );
}

/// Writes sums of the cube's rows, by way of the memory of the scores; `first`, `start` and `stride` as in [`load`].
#[cube]
pub(super) fn store<N: Size>(
    target: &mut [Vector<f32, N>],
    sums: &Sums,
    scores: &mut Shared<[Four]>,
    first: usize,
    steps: usize,
    start: usize,
    stride: usize,
    #[comptime] form: Form,
) {
    let plane = UNIT_POS as usize / 32;
    let width = comptime!(form.heads.width);
    let row = UNIT_POS as usize / 2;
    #[unroll]
    for pair in 0..comptime!(form.across().div_ceil(2)) {
        #[unroll]
        for index in 0..comptime!(if 2 * pair + 1 < form.across() { 2usize } else { 1usize }) {
            let place = plane * comptime!(SIDE * SCORES_PITCH) + comptime!(index * SIDE);
            put(scores, sums, comptime!(2 * pair + index), place, SCORES_PITCH, form.is_emulated);
        }
        sync_cube();
        #[unroll]
        for four in 0..comptime!(HALF / 4) {
            let within = UNIT_POS as usize % 2 * HALF + comptime!(4 * four);
            let column = within + comptime!(2 * SIDE * pair);
            if first + row < steps && column < width {
                let numbers = scores[(row * SCORES_PITCH + within) / 4];
                let place = start + (first + row) * stride + column;
                write(target, place, numbers, width - column, form.by_fours());
            }
        }
        sync_cube();
    }
}
