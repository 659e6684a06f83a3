//! What the recurrent layers' kernels share: a tile of the product of a step's states, or of its gradients, with the
//! recurrent weight.
//!
//! A step has few rows and a large weight, so that a tile has all rows of the batch up to 64, and few columns: a whole
//! device is then busy, and reads the weight once. The units of a cube share the inner axis: each of several slices of
//! units adds up its part of it in registers, and all slices are added up in the end, always in the same order.

use burn_cubecl::cubecl::{self, prelude::*};

use crate::cube::{Four, read};

/// Numbers along the inner axis that are in shared memory at once.
pub(super) const STAGE: usize = 64;
/// The most units of a cube.
pub(super) const UNITS: usize = 256;
/// The most rows and columns of a tile.
pub(super) const MOST_ROWS: usize = 64;
pub(super) const MOST_COLUMNS: usize = 32;
/// What the largest tile needs of a cube's shared memory: the sums of all units take the place of what they multiplied.
pub(super) const SHARED_BYTES: usize = UNITS * 32 * 4;

/// What the kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Tile {
    /// Rows: 8, 16, 32 or 64. A unit has eight of them.
    pub(crate) rows: usize,
    /// Its columns are as many blocks, one of each gate; those of the weight are as many.
    pub(crate) blocks: usize,
    /// Columns of a block, a multiple of four. A unit has four of them.
    pub(crate) width: usize,
    /// Whether neighbours in the weight are neighbours along the inner axis, or across it.
    pub(crate) along_inner: bool,
    /// Whether everything is read and written by fours.
    pub(crate) by_fours: bool,
}

impl Tile {
    /// Fours of columns of a row.
    pub(crate) fn fours(self) -> usize {
        self.blocks * self.width / 4
    }

    /// Fours of columns of a row of a block.
    pub(crate) fn fours_of_block(self) -> usize {
        self.width / 4
    }

    fn units_of_slice(self) -> usize {
        self.fours() * self.rows / 8
    }

    /// Parts of the inner axis that are added up at the same time.
    fn slices(self) -> usize {
        1 << (UNITS / self.units_of_slice()).min(STAGE / 2).ilog2()
    }

    pub(crate) fn units(self) -> usize {
        self.slices() * self.units_of_slice()
    }

    /// Fours that shared memory has room for.
    pub(crate) fn shared_fours(self) -> usize {
        (STAGE / 4 * self.rows + STAGE * self.fours()).max(8 * self.units())
    }

    /// Where the weight's numbers begin in shared memory.
    fn weights(self) -> usize {
        STAGE / 4 * self.rows
    }

    /// Blocks of 4 x 4 numbers of each operand that a unit reads at most, of those that lie along the inner axis.
    fn left_blocks_of_unit(self) -> usize {
        (self.rows / 4 * (STAGE / 4)).div_ceil(self.units())
    }

    fn right_blocks_of_unit(self) -> usize {
        (self.fours() * (STAGE / 4)).div_ceil(self.units())
    }

    /// Fours of the weight that a unit reads.
    fn right_fours_of_unit(self) -> usize {
        if self.along_inner { 4 * self.right_blocks_of_unit() } else { (STAGE * self.fours()).div_ceil(self.units()) }
    }
}

/// What a cube has to multiply.
#[derive(CubeType, Clone, Copy)]
pub(crate) struct Work {
    /// The tile's first row, and how many rows there are.
    pub(crate) row: usize,
    pub(crate) rows: usize,
    /// The tile's first column in each block, and how many columns each block has.
    pub(crate) column: usize,
    pub(crate) columns: usize,
    /// Where the left operand begins.
    pub(crate) left: usize,
    /// From one row of each operand, as it lies, to the next.
    pub(crate) left_pitch: usize,
    pub(crate) right_pitch: usize,
    /// The numbers along the inner axis.
    pub(crate) first: usize,
    pub(crate) end: usize,
}

/// Adds up the tile. What it leaves in shared memory is read with [`sum_at`].
#[cube]
pub(crate) fn add_up<L: Size, R: Size>(
    left: &[Vector<f32, L>],
    right: &[Vector<f32, R>],
    shared: &mut Shared<[Four]>,
    work: &Work,
    #[comptime] tile: Tile,
) {
    let mut next_left = Array::<Four>::new(comptime!(4 * tile.left_blocks_of_unit()));
    let mut next_right = Array::<Four>::new(comptime!(tile.right_fours_of_unit()));
    let mut sums = Array::<Four>::new(8usize);
    #[unroll]
    for index in 0..8usize {
        sums[index] = Four::new(0.0);
    }
    let mut first = work.first;
    fetch_left(left, &mut next_left, work, first, tile);
    fetch_right(right, &mut next_right, work, first, tile);
    while first < work.end {
        put_left(shared, &next_left, tile);
        put_right(shared, &next_right, tile);
        sync_cube();
        first += STAGE;
        // On their way while this stage is computed.
        if first < work.end {
            fetch_left(left, &mut next_left, work, first, tile);
            fetch_right(right, &mut next_right, work, first, tile);
        }
        add_products(&mut sums, &*shared, tile);
        sync_cube();
    }
    #[unroll]
    for index in 0..8usize {
        shared[comptime!(index * tile.units()) + UNIT_POS as usize] = sums[index];
    }
    sync_cube();
}

/// Four numbers of the tile after [`add_up`]: `row` and `four` count within the tile.
#[cube]
pub(crate) fn sum_at(shared: &Shared<[Four]>, row: usize, four: usize, #[comptime] tile: Tile) -> Four {
    let half = comptime!(tile.rows / 2);
    let within = row % half;
    let index = row / half * 4 + within % 4;
    let place = index * comptime!(tile.units()) + within / 4 * comptime!(tile.fours()) + four;
    let mut sum = Four::new(0.0);
    for slice in 0..comptime!(tile.slices()) {
        sum += shared[place + slice * comptime!(tile.units_of_slice())];
    }
    sum
}

/// Reads the unit's numbers of the left operand from `first` on along the inner axis, zeros beyond the edges.
#[cube]
fn fetch_left<N: Size>(
    left: &[Vector<f32, N>],
    found: &mut Array<Four>,
    work: &Work,
    first: usize,
    #[comptime] tile: Tile,
) {
    #[unroll]
    for index in 0..comptime!(tile.left_blocks_of_unit()) {
        let block = UNIT_POS as usize + comptime!(index * tile.units());
        let inner = first + block % 16 * 4;
        #[unroll]
        for other in 0..4usize {
            let in_tile = block / 16 * 4 + other;
            let row = work.row + in_tile;
            let mut numbers = Four::new(0.0);
            if in_tile < comptime!(tile.rows) && row < work.rows && inner < work.end {
                let place = work.left + row * work.left_pitch + inner;
                numbers = read(left, place, work.end - inner, tile.by_fours);
            }
            found[comptime!(4 * index + other)] = numbers;
        }
    }
}

/// As [`fetch_left`], of the weight.
#[cube]
fn fetch_right<N: Size>(
    right: &[Vector<f32, N>],
    found: &mut Array<Four>,
    work: &Work,
    first: usize,
    #[comptime] tile: Tile,
) {
    if comptime!(tile.along_inner) {
        #[unroll]
        for index in 0..comptime!(tile.right_blocks_of_unit()) {
            let block = UNIT_POS as usize + comptime!(index * tile.units());
            let inner = first + block % 16 * 4;
            #[unroll]
            for other in 0..4usize {
                let in_tile = block / 16 * 4 + other;
                let column = work.column + in_tile;
                let mut numbers = Four::new(0.0);
                if in_tile < comptime!(tile.width) && column < work.columns && inner < work.end {
                    numbers = read(right, column * work.right_pitch + inner, work.end - inner, tile.by_fours);
                }
                found[comptime!(4 * index + other)] = numbers;
            }
        }
    } else {
        #[unroll]
        for index in 0..comptime!(tile.right_fours_of_unit()) {
            let place = UNIT_POS as usize + comptime!(index * tile.units());
            let four = place % comptime!(tile.fours());
            let in_stage = place / comptime!(tile.fours());
            let inner = first + in_stage;
            let column = work.column + four % comptime!(tile.fours_of_block()) * 4;
            let mut numbers = Four::new(0.0);
            if in_stage < STAGE && column < work.columns && inner < work.end {
                let start = four / comptime!(tile.fours_of_block()) * work.columns + column;
                numbers = read(right, inner * work.right_pitch + start, work.columns - column, tile.by_fours);
            }
            found[index] = numbers;
        }
    }
}

/// Puts what [`fetch_left`] read into shared memory, the numbers at each place of the inner axis one row. The fours of
/// a row are in an order that depends on the row, so that units that write at the same time use different banks.
#[cube]
fn put_left(shared: &mut Shared<[Four]>, found: &Array<Four>, #[comptime] tile: Tile) {
    #[unroll]
    for index in 0..comptime!(tile.left_blocks_of_unit()) {
        let block = UNIT_POS as usize + comptime!(index * tile.units());
        put_block(shared, found, 0usize, block, index, comptime!(tile.rows / 4));
    }
}

/// As [`put_left`], of the weight.
#[cube]
fn put_right(shared: &mut Shared<[Four]>, found: &Array<Four>, #[comptime] tile: Tile) {
    let start = comptime!(tile.weights());
    if comptime!(tile.along_inner) {
        #[unroll]
        for index in 0..comptime!(tile.right_blocks_of_unit()) {
            let block = UNIT_POS as usize + comptime!(index * tile.units());
            put_block(shared, found, start, block, index, comptime!(tile.fours()));
        }
    } else {
        #[unroll]
        for index in 0..comptime!(tile.right_fours_of_unit()) {
            let place = UNIT_POS as usize + comptime!(index * tile.units());
            if place < comptime!(STAGE * tile.fours()) {
                shared[start + place] = found[index];
            }
        }
    }
}

/// Puts a block of 4 x 4 numbers, transposed, into rows of `fours` fours, of which there is a power of two.
#[cube]
fn put_block(
    shared: &mut Shared<[Four]>,
    found: &Array<Four>,
    start: usize,
    block: usize,
    #[comptime] index: usize,
    #[comptime] fours: usize,
) {
    let across = block / 16;
    let along = block % 16;
    if across < fours {
        #[unroll]
        for row in 0..4usize {
            let mut numbers = Four::new(0.0);
            #[unroll]
            for other in 0..4usize {
                numbers.insert(other, found[comptime!(4 * index + other)].extract(row));
            }
            shared[start + (along * 4 + row) * fours + (across ^ (along & comptime!(fours - 1)))] = numbers;
        }
    }
}

/// Adds the products of the unit's slice of a stage: of the tile, the unit (y, x) of a slice has the rows 4 y to 4 y +
/// 3 of each half, and the columns 4 x to 4 x + 3.
#[cube]
fn add_products(sums: &mut Array<Four>, shared: &Shared<[Four]>, #[comptime] tile: Tile) {
    let lefts = comptime!(tile.rows / 4);
    let rights = comptime!(tile.fours());
    let length = comptime!(STAGE / tile.slices());
    let at_once = comptime!(length.min(4));
    let slice = UNIT_POS as usize / comptime!(tile.units_of_slice());
    let place = UNIT_POS as usize % comptime!(tile.units_of_slice());
    let y = place / rights;
    let x = place % rights;
    for group in 0..comptime!(length / at_once) {
        let first = slice * length + group * at_once;
        let order = first / 4;
        let upper_place = y ^ (order & comptime!(lefts - 1));
        let lower_place = (y + comptime!(lefts / 2)) ^ (order & comptime!(lefts - 1));
        let mut right_place = comptime!(tile.weights()) + x;
        if comptime!(tile.along_inner) {
            right_place = comptime!(tile.weights()) + (x ^ (order & comptime!(rights - 1)));
        }
        #[unroll]
        for within in 0..at_once {
            let row = first + within;
            let upper = shared[row * lefts + upper_place];
            let lower = shared[row * lefts + lower_place];
            let right = shared[row * rights + right_place];
            #[unroll]
            for r in 0..4usize {
                sums[r] += Four::new(upper.extract(r)) * right;
                sums[comptime!(r + 4)] += Four::new(lower.extract(r)) * right;
            }
        }
    }
}
