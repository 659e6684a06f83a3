//! Blocks of 256 whole numbers, whose parts have scales of their own.

use super::{Packing, part};
use crate::inputs::{self, HALVES, PARTS, SuperBlockTile};
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

/// Sums of products of blocks with M inputs, and of what is subtracted.
#[derive(Clone, Copy)]
pub(super) struct Sums<I: Isa, const M: usize> {
    /// Of a single input.
    one: I::Eights,
    /// Of each two inputs; the second half isn't used.
    pairs: [I::Pair; M],
    minima: [I::Eights; M],
}

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

#[inline(always)]
fn add<I: Isa, const M: usize>(isa: I, block: &Unpacked<I>, inputs: &SuperBlockTile<M>, sums: &mut Sums<I, M>) {
    let (mut one, mut pairs) = (isa.no_sums(), [isa.no_sum_pair(); M]);
    for (index, numbers) in inputs.numbers.iter().enumerate() {
        let factors = isa.factors([block.scales[2 * index], block.scales[2 * index + 1]]);
        if M == 1 {
            one = isa.dot_scaled(one, block.numbers[index], &numbers[0], factors);
        }
        for (pair, numbers) in pairs.iter_mut().zip(numbers.as_chunks().0) {
            *pair = isa.dot_scaled_pair(*pair, block.numbers[index], numbers, factors);
        }
    }
    if M == 1 {
        sums.one = isa.add_scaled(sums.one, one, block.scale * inputs.scales[0]);
    }
    for ((sum, pair), scales) in sums.pairs.iter_mut().zip(pairs).zip(inputs.scales.as_chunks().0) {
        *sum = isa.add_scaled_pair(*sum, pair, block.scale, scales);
    }
    for (index, sum) in sums.minima.iter_mut().enumerate() {
        let minima = isa.dot_words(&block.minima, &inputs.half_sums[index]);
        *sum = isa.add_scaled(*sum, minima, block.minimum * inputs.scales[index]);
    }
}

#[inline(always)]
fn totals<I: Isa, const M: usize>(isa: I, sums: &Sums<I, M>) -> [f32; M] {
    let mut totals = [0.0; M];
    if M == 1 {
        totals[0] = isa.sum_eights(sums.one);
    }
    for (totals, pair) in totals.as_chunks_mut::<2>().0.iter_mut().zip(sums.pairs) {
        *totals = isa.sum_pair(pair);
    }
    for (total, minima) in totals.iter_mut().zip(sums.minima) {
        *total -= isa.sum_eights(minima);
    }
    totals
}

macro_rules! super_blocks {
    ($Packing:ident, $bytes:literal, $scales:ident, |$isa:ident, $block:ident, $part:ident| $numbers:expr) => {
        impl Packing for $Packing {
            type Block = [u8; $bytes];
            type Form = inputs::SuperBlocks;
            type Unpacked<I: Isa> = Unpacked<I>;
            type Sums<I: Isa, const M: usize> = Sums<I, M>;

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
            fn none<I: Isa, const M: usize>(isa: I) -> Sums<I, M> {
                Sums { one: isa.no_eights(), pairs: [isa.no_pair(); M], minima: [isa.no_eights(); M] }
            }

            #[inline(always)]
            fn add<I: Isa, const M: usize>(
                isa: I,
                block: &Unpacked<I>,
                inputs: &SuperBlockTile<M>,
                sums: &mut Sums<I, M>,
            ) {
                add(isa, block, inputs, sums);
            }

            #[inline(always)]
            fn totals<I: Isa, const M: usize>(isa: I, sums: &Sums<I, M>) -> [f32; M] {
                totals(isa, sums)
            }
        }
    };
}

super_blocks!(Q4K, 144, six_bits, |isa, block, index| half(isa, part(block, 16 + index / 2 * 32), index % 2 == 1));
super_blocks!(Q5K, 176, six_bits, |isa, block, index| five_bits(isa, block, index));
super_blocks!(Q6K, 210, eight_bits, |isa, block, index| six_bit_numbers(isa, block, index));
