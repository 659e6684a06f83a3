//! Blocks of 256 whole numbers, whose parts have scales of their own.

use super::{Packing, part};
use crate::inputs::{HALVES, InputSuperBlock, PARTS};
use crate::isa::Isa;

pub(super) struct Q4K;
pub(super) struct Q5K;
pub(super) struct Q6K;

/// What the numbers of a block are multiplied with.
struct Scales {
    /// Of all.
    whole: u16,
    /// Of each 16 of them.
    scales: [i16; HALVES],
    /// Of all that is subtracted.
    minimum: u16,
    /// What is subtracted from each 16 of them.
    minima: [i16; HALVES],
}

/// A block in registers: its numbers are unsigned.
pub(super) struct Unpacked<I: Isa> {
    numbers: [I::Bytes; PARTS],
    scale: f32,
    scales: [i16; HALVES],
    minimum: f32,
    minima: [i16; HALVES],
}

/// Sums of products of blocks, and of what is subtracted.
pub(super) struct Sums<I: Isa> {
    products: I::Eights,
    minima: I::Eights,
}

impl<I: Isa> Clone for Sums<I> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<I: Isa> Copy for Sums<I> {}

#[inline(always)]
fn word(block: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(*part(block, at))
}

/// Scales and minima of 6 bits, as [`scale_and_minimum`](crate::unpack::super_blocks::scale_and_minimum) has them, four
/// at a time.
#[inline(always)]
fn six_bits(block: &[u8]) -> Scales {
    let four = |at: usize| u32::from_le_bytes(*part(block, at));
    let (first, second, both) = (four(4), four(8), four(12));
    let scales = [first & 0x3F3F_3F3F, both & 0x0F0F_0F0F | first >> 2 & 0x3030_3030];
    let minima = [second & 0x3F3F_3F3F, both >> 4 & 0x0F0F_0F0F | second >> 2 & 0x3030_3030];
    Scales { whole: word(block, 0), scales: twice(scales), minimum: word(block, 2), minima: twice(minima) }
}

/// Each of eight bytes twice.
#[inline(always)]
fn twice(fours: [u32; 2]) -> [i16; HALVES] {
    let bytes = [fours[0].to_le_bytes(), fours[1].to_le_bytes()];
    let mut words = [0; HALVES];
    for (index, word) in words.iter_mut().enumerate() {
        *word = i16::from(bytes[index / 8][index / 2 % 4]);
    }
    words
}

/// The scales of Q6_K, whose 32 stands for zero: what is subtracted is 32 times each scale.
#[inline(always)]
fn eight_bits(block: &[u8]) -> Scales {
    let (mut scales, mut minima) = ([0; HALVES], [0; HALVES]);
    for index in 0..HALVES {
        scales[index] = i16::from(block[192 + index].cast_signed());
        minima[index] = 32 * scales[index];
    }
    let whole = word(block, 208);
    Scales { whole, scales, minimum: whole, minima }
}

/// The lower or the upper halves of 32 bytes.
#[inline(always)]
fn half<I: Isa>(isa: I, halves: &[u8; 32], is_upper: bool) -> I::Bytes {
    let halves = isa.bytes(halves);
    if is_upper { isa.shift_right(halves, 4) } else { isa.and(halves, isa.splat(15)) }
}

#[inline(always)]
fn five_bits<I: Isa>(isa: I, block: &[u8], index: usize) -> I::Bytes {
    let fifth = isa.and(isa.shift_right(isa.bytes(part(block, 16)), index as u32), isa.splat(1));
    isa.or(half(isa, part(block, 48 + index / 2 * 32), index % 2 == 1), isa.shift_left(fifth, 4))
}

#[inline(always)]
fn six_bit_numbers<I: Isa>(isa: I, block: &[u8], index: usize) -> I::Bytes {
    let (side, quarter) = (index / 4, index % 4);
    let lower = half(isa, part(block, side * 64 + quarter % 2 * 32), quarter / 2 == 1);
    let upper = isa.shift_right(isa.bytes(part(block, 128 + side * 32)), 2 * quarter as u32);
    isa.or(lower, isa.shift_left(isa.and(upper, isa.splat(3)), 4))
}

macro_rules! super_blocks {
    ($Packing:ident, $bytes:literal, $scales:ident, |$isa:ident, $block:ident, $part:ident| $numbers:expr) => {
        impl Packing for $Packing {
            type Block = [u8; $bytes];
            type Input = InputSuperBlock;
            type Unpacked<I: Isa> = Unpacked<I>;
            type Sums<I: Isa> = Sums<I>;

            #[inline(always)]
            fn blocks(row: &[u8]) -> &[[u8; $bytes]] {
                row.as_chunks().0
            }

            #[inline(always)]
            fn rest(_: &[u8]) -> Option<[u8; $bytes]> {
                None
            }

            #[inline(always)]
            fn unpacked<I: Isa>($isa: I, $block: &[u8; $bytes]) -> Unpacked<I> {
                let Scales { whole, scales, minimum, minima } = $scales($block);
                let mut numbers = [$isa.splat(0); PARTS];
                for $part in 0..PARTS {
                    numbers[$part] = $numbers;
                }
                Unpacked { numbers, scale: $isa.half(whole), scales, minimum: $isa.half(minimum), minima }
            }

            #[inline(always)]
            fn none<I: Isa>(isa: I) -> Sums<I> {
                Sums { products: isa.no_eights(), minima: isa.no_eights() }
            }

            #[inline(always)]
            fn add<I: Isa>(isa: I, block: &Unpacked<I>, input: &InputSuperBlock, sums: Sums<I>) -> Sums<I> {
                let mut dots = isa.no_sums();
                for part in 0..PARTS {
                    let factors = [block.scales[2 * part], block.scales[2 * part + 1]];
                    dots = isa.dot_scaled(dots, block.numbers[part], isa.bytes(&input.numbers[part]), factors);
                }
                let minima = isa.dot_words(&block.minima, &input.half_sums);
                Sums {
                    products: isa.add_scaled(sums.products, dots, block.scale * input.scale),
                    minima: isa.add_scaled(sums.minima, minima, block.minimum * input.scale),
                }
            }

            #[inline(always)]
            fn sum<I: Isa>(isa: I, sums: Sums<I>) -> f32 {
                isa.sum_eights(sums.products) - isa.sum_eights(sums.minima)
            }
        }
    };
}

super_blocks!(Q4K, 144, six_bits, |isa, block, index| half(isa, part(block, 16 + index / 2 * 32), index % 2 == 1));
super_blocks!(Q5K, 176, six_bits, |isa, block, index| five_bits(isa, block, index));
super_blocks!(Q6K, 210, eight_bits, |isa, block, index| six_bit_numbers(isa, block, index));
