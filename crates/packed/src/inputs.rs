//! What a matrix is multiplied with.

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

/// How many inputs are multiplied with a row at a time: as many eights as there are, then a four, a two, a one.
pub(crate) const TILES: [usize; 4] = [8, 4, 2, 1];

/// Rows of numbers, in the forms that the formats of a matrix are multiplied with.
///
/// Inputs that are multiplied together lie block by block beside one another.
#[derive(Debug, Clone)]
pub struct Inputs {
    rows: usize,
    width: usize,
    floats: Option<Vec<[f32; FLOATS]>>,
    blocks: Option<Vec<InputBlock>>,
    super_blocks: Option<Vec<InputSuperBlock>>,
}

/// 32 whole numbers of 8 bits, from -127 to 127.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InputBlock {
    pub(crate) numbers: [u8; BLOCK],
    pub(crate) scale: f32,
    /// Of the whole numbers.
    pub(crate) sum: i32,
    /// The scale times the sum, rounded to half precision.
    pub(crate) scaled_sum: f32,
}

/// 256 whole numbers of 8 bits, from -127 to 127.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InputSuperBlock {
    pub(crate) numbers: [[u8; BLOCK]; PARTS],
    pub(crate) scale: f32,
    /// Of each 16 whole numbers.
    pub(crate) half_sums: [i16; HALVES],
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
        let from = Rows { numbers, width };
        Self {
            rows,
            width,
            floats: has(1).then(|| from.floats()),
            blocks: has(BLOCK).then(|| from.tiled(input_block)),
            super_blocks: has(SUPER_BLOCK).then(|| from.tiled(input_super_block)),
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

    pub(crate) fn floats(&self) -> &[[f32; FLOATS]] {
        prepared(&self.floats)
    }

    pub(crate) fn blocks(&self) -> &[InputBlock] {
        prepared(&self.blocks)
    }

    pub(crate) fn super_blocks(&self) -> &[InputSuperBlock] {
        prepared(&self.super_blocks)
    }
}

fn prepared<T>(form: &Option<Vec<T>>) -> &[T] {
    match form {
        Some(form) => form,
        None => panic!("inputs were prepared for a matrix of other formats"),
    }
}

/// Rows one after the other.
#[derive(Clone, Copy)]
struct Rows<'a> {
    numbers: &'a [f32],
    width: usize,
}

impl Rows<'_> {
    /// The last block of a row is filled up with zeros.
    fn floats(self) -> Vec<[f32; FLOATS]> {
        if self.width.is_multiple_of(FLOATS) {
            return self.tiled(|block: &[f32; FLOATS]| *block);
        }
        let width = self.width.next_multiple_of(FLOATS);
        let mut padded = vec![0.0; self.numbers.len() / self.width.max(1) * width];
        for (padded, row) in padded.chunks_exact_mut(width).zip(self.numbers.chunks_exact(self.width)) {
            padded[..self.width].copy_from_slice(row);
        }
        Rows { numbers: &padded, width }.tiled(|block: &[f32; FLOATS]| *block)
    }

    /// All blocks in the order of [`TILES`].
    fn tiled<const N: usize, T>(self, form: impl Fn(&[f32; N]) -> T) -> Vec<T> {
        let mut formed = Vec::with_capacity(self.numbers.len() / N);
        dispatch(Tiled { rows: self, form, formed: &mut formed });
        formed
    }
}

struct Tiled<'a, T, F, const N: usize> {
    rows: Rows<'a>,
    form: F,
    formed: &'a mut Vec<T>,
}

impl<T, F: Fn(&[f32; N]) -> T, const N: usize> Kernel for Tiled<'_, T, F, N> {
    #[inline(always)]
    fn run<I: Isa>(self, _: I) {
        let Rows { numbers, width } = self.rows;
        let mut left = numbers;
        for tile in TILES {
            while left.len() >= tile * width && !left.is_empty() {
                let (now, later) = left.split_at(tile * width);
                left = later;
                for at in 0..width / N {
                    for row in now.chunks_exact(width) {
                        self.formed.push((self.form)(&row.as_chunks().0[at]));
                    }
                }
            }
        }
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

/// `llama.cpp`'s Q8_0 and Q8_1, as its code for x86-64 computes them: the largest magnitude becomes 127, halves are
/// rounded to even.
#[inline(always)]
fn input_block(block: &[f32; BLOCK]) -> InputBlock {
    let largest = largest(block);
    let (scale, inverse) = (largest / 127.0, if largest == 0.0 { 0.0 } else { 127.0 / largest });
    let numbers = rounded(block, inverse);
    let sum = sum(&numbers);
    let scaled_sum = f16::from_f32(scale * sum as f32).to_f32();
    InputBlock { numbers, scale: f16::from_f32(scale).to_f32(), sum, scaled_sum }
}

/// `llama.cpp`'s Q8_K: the number of the largest magnitude becomes -127.
#[inline(always)]
fn input_super_block(block: &[f32; SUPER_BLOCK]) -> InputSuperBlock {
    let largest = largest(block);
    let mut far = largest;
    for number in block.iter().rev() {
        if number.abs() == largest {
            far = *number;
        }
    }
    let inverse = if far == 0.0 { 0.0 } else { -127.0 / far };
    let (mut numbers, mut half_sums) = ([[0; BLOCK]; PARTS], [0; HALVES]);
    for (index, part) in block.as_chunks().0.iter().enumerate() {
        numbers[index] = rounded(part, inverse);
        half_sums[2 * index] = sum(&numbers[index][..16]) as i16;
        half_sums[2 * index + 1] = sum(&numbers[index][16..]) as i16;
    }
    InputSuperBlock { numbers, scale: if far == 0.0 { 0.0 } else { 1.0 / inverse }, half_sums }
}
