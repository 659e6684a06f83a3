//! Products of tiles in shared memory, by 16 x 16 units. Of a tile of scores, the unit (y, x) has the rows y, y + 16,
//! ... and the columns x, x + 16, ...; of a tile of heads, the same rows and the fours of columns x, x + 16, ...:
//! neighbours read neighbouring numbers.

use burn_cubecl::cubecl::{self, prelude::*};

use super::geometry::AttentionHeads;
use crate::cube::{Four, read, write};

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

    /// Fours of columns of a head that a unit has.
    pub(super) fn span(self) -> usize {
        self.fours().div_ceil(SIDE)
    }

    /// Fours of columns of a head, the last one filled up with zeros.
    pub(super) fn fours(self) -> usize {
        self.heads.width.div_ceil(4)
    }

    /// Fours from one row of queries, keys or values to the next: an odd number, so that the rows of a column lie in
    /// different banks of memory.
    pub(super) fn pitch(self) -> usize {
        self.fours() | 1
    }

    /// Whether heads are read and written by fours.
    pub(super) fn by_fours(self) -> bool {
        self.heads.width.is_multiple_of(4)
    }

    /// Columns of packed queries, keys and values.
    pub(super) fn packed(self) -> usize {
        self.heads.packed_columns()
    }

    /// What the kernels need of a cube's shared memory: three tiles of a head and one of scores.
    pub(super) fn shared_bytes(tile: usize, width: usize) -> usize {
        let heads = AttentionHeads { queries: 1, key_values: 1, width };
        let form = Self { tile, heads, is_capped: false };
        16 * 3 * tile * form.pitch() + 4 * tile * (tile + 1)
    }
}

/// Which tile of which head of which row a cube has.
#[derive(CubeType, Clone, Copy)]
pub(super) struct Place {
    pub(super) tile: usize,
    pub(super) head: usize,
    pub(super) row: usize,
}

/// A device begins with the last tiles where they have the most to do.
#[cube]
pub(super) fn place(
    steps: usize,
    #[comptime] heads: usize,
    #[comptime] tile: usize,
    #[comptime] last_first: bool,
) -> Place {
    let tiles = steps.div_ceil(tile);
    let mut tile = CUBE_POS % tiles;
    if comptime!(last_first) {
        tile = tiles - 1 - tile;
    }
    Place { tile, head: CUBE_POS / tiles % heads, row: CUBE_POS / tiles / heads }
}

/// Copies the rows `first..first + tile` of a head into shared memory, zeros beyond the last step. `start` is the place
/// of the head's first number, `stride` what lies between its rows.
#[cube]
pub(super) fn load<N: Size>(
    target: &mut Shared<[Four]>,
    source: &[Vector<f32, N>],
    first: usize,
    steps: usize,
    start: usize,
    stride: usize,
    #[comptime] form: Form,
) {
    let fours = comptime!(form.fours());
    let parts = comptime!((form.tile * form.fours()).div_ceil(UNITS as usize));
    // All are asked for before the first one is waited for.
    let mut found = Array::<Four>::new(parts);
    #[unroll]
    for part in 0..parts {
        let index = UNIT_POS as usize + comptime!(part * UNITS as usize);
        let row = index / fours;
        let column = index % fours * 4;
        let mut numbers = Four::new(0.0);
        if row < form.tile && first + row < steps {
            let place = start + (first + row) * stride + column;
            numbers = read(source, place, comptime!(form.heads.width) - column, form.by_fours());
        }
        found[part] = numbers;
    }
    #[unroll]
    for part in 0..parts {
        let index = UNIT_POS as usize + comptime!(part * UNITS as usize);
        let row = index / fours;
        if row < form.tile {
            target[row * comptime!(form.pitch()) + index % fours] = found[part];
        }
    }
}

/// The products of the unit's rows of `left` with its rows of `right`.
#[cube]
pub(super) fn products(left: &Shared<[Four]>, right: &Shared<[Four]>, #[comptime] form: Form) -> Array<f32> {
    let block = comptime!(form.block());
    let pitch = comptime!(form.pitch());
    let (y, x) = (UNIT_POS as usize / 16, UNIT_POS as usize % 16);
    let mut sums = Array::<Four>::new(comptime!(block * block));
    #[unroll]
    for index in 0..comptime!(block * block) {
        sums[index] = Four::new(0.0);
    }
    for along in 0..comptime!(form.fours()) {
        #[unroll]
        for r in 0..block {
            let numbers = left[(y + 16 * r) * pitch + along];
            #[unroll]
            for c in 0..block {
                sums[r * block + c] += numbers * right[(x + 16 * c) * pitch + along];
            }
        }
    }
    let mut found = Array::<f32>::new(comptime!(block * block));
    #[unroll]
    for index in 0..comptime!(block * block) {
        let four = sums[index];
        found[index] = (four.extract(0usize) + four.extract(1usize)) + (four.extract(2usize) + four.extract(3usize));
    }
    found
}

/// Adds the unit's rows of `scores`, or its columns where they are transposed, times all of `right` to `sums`.
#[cube]
pub(super) fn add_products(
    sums: &mut Array<Four>,
    scores: &Shared<[f32]>,
    right: &Shared<[Four]>,
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
        for c in 0..span {
            // A unit that has no such column computes with what lies in the last one.
            let column = min(x + 16 * c, comptime!(form.fours() - 1));
            let numbers = right[along * pitch + column];
            #[unroll]
            for r in 0..block {
                let own = y + 16 * r;
                let score = if comptime!(is_transposed) {
                    scores[along * (tile + 1) + own]
                } else {
                    scores[own * (tile + 1) + along]
                };
                sums[r * span + c] += Four::new(score) * numbers;
            }
        }
    }
}

/// Nothing yet, for [`add_products`].
#[cube]
pub(super) fn no_sums(#[comptime] form: Form) -> Array<Four> {
    let mut sums = Array::<Four>::new(comptime!(form.block() * form.span()));
    #[unroll]
    for index in 0..comptime!(form.block() * form.span()) {
        sums[index] = Four::new(0.0);
    }
    sums
}

/// Writes what [`add_products`] added up; the arguments are those of [`load`].
#[cube]
pub(super) fn store<N: Size>(
    target: &mut [Vector<f32, N>],
    sums: &Array<Four>,
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
            let column = 4 * x + 64 * c;
            let width = comptime!(form.heads.width);
            if step < steps && column < width {
                write(target, start + step * stride + column, sums[r * span + c], width - column, form.by_fours());
            }
        }
    }
}
