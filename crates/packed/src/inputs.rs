//! What a matrix is multiplied with.

use std::borrow::Cow;

use half::f16;

use crate::PackedMatrix;
use crate::isa::{Isa, Kernel, dispatch};

/// Floats that are multiplied at a time.
pub(crate) const FLOATS: usize = 16;
/// Whole numbers of a block.
pub(crate) const BLOCK: usize = 32;
/// Whole numbers of a block of blocks.
pub(crate) const SUPER_BLOCK: usize = 256;
/// Parts of 32 of it.
pub(crate) const PARTS: usize = SUPER_BLOCK / BLOCK;
/// Parts of 16 of it.
pub(crate) const HALVES: usize = SUPER_BLOCK / 16;

/// Rows of numbers, in the forms that the formats of a matrix are multiplied with.
#[derive(Debug, Clone)]
pub struct Inputs {
    rows: usize,
    width: usize,
    floats: Option<Tiles<Floats>>,
    blocks: Option<Tiles<Blocks>>,
    super_blocks: Option<Tiles<SuperBlocks>>,
}

/// A form of inputs. Those that are multiplied together, M at a time, lie block by block beside one another.
pub(crate) trait Form {
    /// Numbers of a block.
    const BLOCK: usize;
    /// A block of M inputs.
    type Tile<const M: usize>: std::fmt::Debug + Clone;
    /// Makes one of the block that begins at `place` of each of M rows.
    fn tile<const M: usize>(rows: [&[f32]; M], place: usize) -> Self::Tile<M>;
}

/// Inputs in a form: as many eights as there are, then a four, a two, a one.
#[derive(Debug, Clone)]
pub(crate) struct Tiles<F: Form> {
    pub(crate) eights: Vec<F::Tile<8>>,
    pub(crate) four: Vec<F::Tile<4>>,
    pub(crate) two: Vec<F::Tile<2>>,
    pub(crate) one: Vec<F::Tile<1>>,
}

/// 16 numbers as they are.
#[derive(Debug, Clone)]
pub(crate) struct Floats;

/// 32 whole numbers of 8 bits, from -127 to 127.
#[derive(Debug, Clone)]
pub(crate) struct Blocks;

/// 256 whole numbers of 8 bits, from -127 to 127.
#[derive(Debug, Clone)]
pub(crate) struct SuperBlocks;

#[derive(Debug, Clone)]
pub(crate) struct BlockTile<const M: usize> {
    pub(crate) numbers: [[u8; BLOCK]; M],
    pub(crate) scales: [f32; M],
    /// The scales times the sums of the whole numbers.
    pub(crate) sums: [f32; M],
    /// The same with the scales before they are rounded, rounded to half precision.
    pub(crate) rounded_sums: [f32; M],
}

#[derive(Debug, Clone)]
pub(crate) struct SuperBlockTile<const M: usize> {
    /// Part by part.
    pub(crate) numbers: [[[u8; BLOCK]; M]; PARTS],
    pub(crate) scales: [f32; M],
    /// Of each 16 whole numbers.
    pub(crate) half_sums: [[i16; HALVES]; M],
}

impl Inputs {
    /// Prepares rows of as many numbers as a row of `matrix` has.
    ///
    /// # Panics
    /// If the last row is not whole.
    pub fn new(matrix: &PackedMatrix, numbers: &[f32]) -> Self {
        let width = matrix.inputs();
        let rows = numbers.len() / width.max(1);
        assert_eq!(rows * width, numbers.len(), "rows of {width} numbers were expected, there are {}", numbers.len());
        let has = |block: usize| matrix.pieces().iter().any(|piece| piece.format().block() == block);
        Self {
            rows,
            width,
            floats: has(1).then(|| tiles(&padded(numbers, width), width.next_multiple_of(FLOATS))),
            blocks: has(BLOCK).then(|| tiles(numbers, width)),
            super_blocks: has(SUPER_BLOCK).then(|| tiles(numbers, width)),
        }
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Numbers of a row.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    pub(crate) fn floats(&self) -> &Tiles<Floats> {
        prepared(&self.floats)
    }

    pub(crate) fn blocks(&self) -> &Tiles<Blocks> {
        prepared(&self.blocks)
    }

    pub(crate) fn super_blocks(&self) -> &Tiles<SuperBlocks> {
        prepared(&self.super_blocks)
    }
}

fn prepared<T>(form: &Option<T>) -> &T {
    match form {
        Some(form) => form,
        None => panic!("inputs were prepared for a matrix of other formats"),
    }
}

/// Rows filled up with zeros to a whole number of blocks of floats.
fn padded(numbers: &[f32], width: usize) -> Cow<'_, [f32]> {
    let wide = width.next_multiple_of(FLOATS);
    if wide == width {
        return Cow::Borrowed(numbers);
    }
    let mut padded = vec![0.0; numbers.len() / width.max(1) * wide];
    for (padded, row) in padded.chunks_exact_mut(wide).zip(numbers.chunks_exact(width)) {
        padded[..width].copy_from_slice(row);
    }
    Cow::Owned(padded)
}

/// All rows in a form.
fn tiles<F: Form>(numbers: &[f32], width: usize) -> Tiles<F> {
    let mut tiles = Tiles { eights: Vec::new(), four: Vec::new(), two: Vec::new(), one: Vec::new() };
    dispatch(Tiling { numbers, width, tiles: &mut tiles });
    tiles
}

struct Tiling<'a, F: Form> {
    numbers: &'a [f32],
    width: usize,
    tiles: &'a mut Tiles<F>,
}

impl<F: Form> Kernel for Tiling<'_, F> {
    #[inline(always)]
    fn run<I: Isa>(self, _: I) {
        let Self { numbers, width, tiles } = self;
        let left = tile_rows::<F, 8>(numbers, width, &mut tiles.eights);
        let left = tile_rows::<F, 4>(left, width, &mut tiles.four);
        let left = tile_rows::<F, 2>(left, width, &mut tiles.two);
        tile_rows::<F, 1>(left, width, &mut tiles.one);
    }
}

/// Takes M rows at a time, and gives those that are left.
#[inline(always)]
fn tile_rows<'a, F: Form, const M: usize>(numbers: &'a [f32], width: usize, tiles: &mut Vec<F::Tile<M>>) -> &'a [f32] {
    let mut left = numbers;
    tiles.reserve_exact(numbers.len() / (M * width).max(1) * (width / F::BLOCK));
    while !left.is_empty() && left.len() >= M * width {
        let (now, later) = left.split_at(M * width);
        left = later;
        let mut rows: [&[f32]; M] = [&[]; M];
        for (row, numbers) in rows.iter_mut().zip(now.chunks_exact(width)) {
            *row = numbers;
        }
        for place in (0..width).step_by(F::BLOCK) {
            tiles.push(F::tile(rows, place));
        }
    }
    left
}

impl Form for Floats {
    const BLOCK: usize = FLOATS;
    type Tile<const M: usize> = [[f32; FLOATS]; M];

    #[inline(always)]
    fn tile<const M: usize>(rows: [&[f32]; M], place: usize) -> [[f32; FLOATS]; M] {
        let mut tile = [[0.0; FLOATS]; M];
        for (tile, row) in tile.iter_mut().zip(rows) {
            tile.copy_from_slice(&row[place..place + FLOATS]);
        }
        tile
    }
}

/// The largest magnitude. Magnitudes are ordered as their bits are, and what is not a number is larger than all.
#[inline(always)]
fn largest(numbers: &[f32]) -> f32 {
    let mut largest = 0;
    for number in numbers {
        largest = largest.max(number.to_bits() & 0x7FFF_FFFF);
    }
    f32::from_bits(largest)
}

#[inline(always)]
fn rounded(numbers: &[f32; BLOCK], inverse: f32) -> [u8; BLOCK] {
    let mut rounded = [0; BLOCK];
    for (rounded, number) in rounded.iter_mut().zip(numbers) {
        *rounded = ((number * inverse).round_ties_even() as i8).cast_unsigned();
    }
    rounded
}

#[inline(always)]
fn sum(numbers: &[u8]) -> i32 {
    let mut sum = 0;
    for number in numbers {
        sum += i32::from(number.cast_signed());
    }
    sum
}

impl Form for Blocks {
    const BLOCK: usize = BLOCK;
    type Tile<const M: usize> = BlockTile<M>;

    /// `llama.cpp`'s Q8_0 and Q8_1, as its code for x86-64 computes them: the largest magnitude becomes 127, halves are
    /// rounded to even.
    #[inline(always)]
    fn tile<const M: usize>(rows: [&[f32]; M], place: usize) -> BlockTile<M> {
        let mut tile = BlockTile { numbers: [[0; BLOCK]; M], scales: [0.0; M], sums: [0.0; M], rounded_sums: [0.0; M] };
        for (index, row) in rows.into_iter().enumerate() {
            let block: &[f32; BLOCK] = part(row, place);
            let largest = largest(block);
            let (scale, inverse) = (largest / 127.0, if largest == 0.0 { 0.0 } else { 127.0 / largest });
            tile.numbers[index] = rounded(block, inverse);
            let sum = sum(&tile.numbers[index]) as f32;
            tile.scales[index] = f16::from_f32(scale).to_f32();
            tile.sums[index] = tile.scales[index] * sum;
            tile.rounded_sums[index] = f16::from_f32(scale * sum).to_f32();
        }
        tile
    }
}

impl Form for SuperBlocks {
    const BLOCK: usize = SUPER_BLOCK;
    type Tile<const M: usize> = SuperBlockTile<M>;

    /// `llama.cpp`'s Q8_K: the number of the largest magnitude becomes -127.
    #[inline(always)]
    fn tile<const M: usize>(rows: [&[f32]; M], place: usize) -> SuperBlockTile<M> {
        let mut tile =
            SuperBlockTile { numbers: [[[0; BLOCK]; M]; PARTS], scales: [0.0; M], half_sums: [[0; HALVES]; M] };
        for (index, row) in rows.into_iter().enumerate() {
            let block: &[f32; SUPER_BLOCK] = part(row, place);
            let largest = largest(block);
            let mut far = largest;
            for number in block.iter().rev() {
                if number.abs() == largest {
                    far = *number;
                }
            }
            let inverse = if far == 0.0 { 0.0 } else { -127.0 / far };
            for (at, part) in block.as_chunks().0.iter().enumerate() {
                let numbers = rounded(part, inverse);
                tile.numbers[at][index] = numbers;
                tile.half_sums[index][2 * at] = sum(&numbers[..16]) as i16;
                tile.half_sums[index][2 * at + 1] = sum(&numbers[16..]) as i16;
            }
            tile.scales[index] = if far == 0.0 { 0.0 } else { 1.0 / inverse };
        }
        tile
    }
}

/// The N numbers from `place` on.
#[inline(always)]
fn part<const N: usize>(row: &[f32], place: usize) -> &[f32; N] {
    match row[place..].first_chunk() {
        Some(part) => part,
        None => unreachable!("a row has whole blocks"),
    }
}
