//! Products of tiles in shared memory, by 16 x 16 units. Of a tile, the unit (y, x) has the rows y, y + 16, ... and the
//! columns x, x + 16, ...: neighbours read neighbouring numbers.

use burn_cubecl::cubecl::{self, prelude::*};

use super::geometry::AttentionHeads;

/// Units along one side.
pub(super) const SIDE: usize = 16;
/// Units of a cube.
pub(super) const UNITS: u32 = 256;

/// What the kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Form {
    /// Queries and keys of a tile.
    pub(super) tile: usize,
    pub(super) heads: AttentionHeads,
    pub(super) is_capped: bool,
}

impl Form {
    /// Rows and columns of a tile of scores that a unit has.
    pub(super) fn block(self) -> usize {
        self.tile / SIDE
    }

    /// Columns of a head that a unit has.
    pub(super) fn span(self) -> usize {
        self.heads.width.div_ceil(SIDE)
    }

    /// Numbers from one row of queries, keys or values to the next: whole steps of [`SIDE`] columns, which are read and
    /// not used beyond the width, and one more, so that the rows of a column lie in different banks of memory.
    pub(super) fn pitch(self) -> usize {
        self.span() * SIDE + 1
    }

    /// Columns of packed queries, keys and values.
    pub(super) fn packed(self) -> usize {
        self.heads.packed_columns()
    }

    /// What the kernels need of a cube's shared memory: three tiles of a head and one of scores.
    pub(super) fn shared_bytes(tile: usize, width: usize) -> usize {
        let heads = AttentionHeads { queries: 1, key_values: 1, width };
        let form = Self { tile, heads, is_capped: false };
        4 * (3 * tile * form.pitch() + tile * (tile + 1))
    }
}

/// Which tile of which head of which row a cube has.
#[derive(CubeType, Clone, Copy)]
pub(super) struct Place {
    pub(super) tile: usize,
    pub(super) head: usize,
    pub(super) row: usize,
}

#[cube]
pub(super) fn place(steps: usize, #[comptime] heads: usize, #[comptime] tile: usize) -> Place {
    let tiles = steps.div_ceil(tile);
    Place { tile: CUBE_POS % tiles, head: CUBE_POS / tiles % heads, row: CUBE_POS / tiles / heads }
}

/// Copies the rows `first..first + tile` of a head into shared memory, zeros beyond the last step. `start` is the place
/// of the head's first number, `stride` what lies between its rows.
#[cube]
pub(super) fn load(
    target: &mut Shared<[f32]>,
    source: &[f32],
    first: usize,
    steps: usize,
    start: usize,
    stride: usize,
    #[comptime] form: Form,
) {
    let pitch = comptime!(form.pitch());
    let width = comptime!(form.heads.width);
    let count = comptime!(form.tile * form.heads.width);
    let mut index = UNIT_POS as usize;
    while index < count {
        let row = index / width;
        let column = index % width;
        let mut number = f32::new(0.0);
        if first + row < steps {
            number = source[start + (first + row) * stride + column];
        }
        target[row * pitch + column] = number;
        index += 256usize;
    }
}

/// The products of the unit's rows of `left` with its rows of `right`.
#[cube]
pub(super) fn products(left: &Shared<[f32]>, right: &Shared<[f32]>, #[comptime] form: Form) -> Array<f32> {
    let block = comptime!(form.block());
    let pitch = comptime!(form.pitch());
    let width = comptime!(form.heads.width);
    let (y, x) = (UNIT_POS as usize / 16, UNIT_POS as usize % 16);
    let mut found = Array::<f32>::new(comptime!(block * block));
    #[unroll]
    for index in 0..comptime!(block * block) {
        found[index] = f32::new(0.0);
    }
    for along in 0..width {
        #[unroll]
        for r in 0..block {
            let number = left[(y + 16 * r) * pitch + along];
            #[unroll]
            for c in 0..block {
                found[r * block + c] += number * right[(x + 16 * c) * pitch + along];
            }
        }
    }
    found
}

/// Adds the unit's rows of `scores`, or its columns where they are transposed, times all of `right` to `sums`.
#[cube]
pub(super) fn add_products(
    sums: &mut Array<f32>,
    scores: &Shared<[f32]>,
    right: &Shared<[f32]>,
    #[comptime] form: Form,
    #[comptime] is_transposed: bool,
) {
    let block = comptime!(form.block());
    let span = comptime!(form.span());
    let pitch = comptime!(form.pitch());
    let tile = comptime!(form.tile);
    let (y, x) = (UNIT_POS as usize / 16, UNIT_POS as usize % 16);
    for along in 0..tile {
        #[unroll]
        for r in 0..block {
            let own = y + 16 * r;
            let score = if comptime!(is_transposed) {
                scores[along * (tile + 1) + own]
            } else {
                scores[own * (tile + 1) + along]
            };
            #[unroll]
            for c in 0..span {
                sums[r * span + c] += score * right[along * pitch + x + 16 * c];
            }
        }
    }
}

/// Nothing yet, for [`add_products`].
#[cube]
pub(super) fn no_sums(#[comptime] form: Form) -> Array<f32> {
    let mut sums = Array::<f32>::new(comptime!(form.block() * form.span()));
    #[unroll]
    for index in 0..comptime!(form.block() * form.span()) {
        sums[index] = f32::new(0.0);
    }
    sums
}

/// Writes what [`add_products`] added up; the arguments are those of [`load`].
#[cube]
pub(super) fn store(
    target: &mut [f32],
    sums: &Array<f32>,
    first: usize,
    steps: usize,
    start: usize,
    stride: usize,
    #[comptime] form: Form,
) {
    let span = comptime!(form.span());
    let (y, x) = (UNIT_POS as usize / 16, UNIT_POS as usize % 16);
    #[unroll]
    for r in 0..comptime!(form.block()) {
        let step = first + y + 16 * r;
        #[unroll]
        for c in 0..span {
            let column = x + 16 * c;
            if step < steps && column < comptime!(form.heads.width) {
                target[start + step * stride + column] = sums[r * span + c];
            }
        }
    }
}
