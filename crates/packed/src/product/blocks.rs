//! Blocks of 32 whole numbers.

use super::{Packing, part};
use crate::inputs::{self, BlockTile};
use crate::isa::Isa;

/// Named as [`Format`](crate::Format) is.
#[allow(non_camel_case_types)]
pub(super) struct Q4_0;
#[allow(non_camel_case_types)]
pub(super) struct Q4_1;
#[allow(non_camel_case_types)]
pub(super) struct Q5_0;
#[allow(non_camel_case_types)]
pub(super) struct Q5_1;
#[allow(non_camel_case_types)]
pub(super) struct Q8_0;

/// A block in registers: `scale * numbers + offset`, the offset being in units of [`unit`].
pub(super) struct Unpacked<I: Isa> {
    numbers: I::Bytes,
    scale: f32,
    offset: f32,
}

/// Sums of products of blocks with M inputs, and of their offsets.
#[derive(Clone, Copy)]
pub(super) struct Sums<I: Isa, const M: usize> {
    /// Of a single input.
    one: I::Eights,
    /// Of each two inputs; the second half isn't used.
    pairs: [I::Pair; M],
    offsets: [f32; M],
}

/// What a whole number of 0 stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Zero {
    /// Zero, the numbers being signed.
    Signed,
    /// Minus this number.
    Minus(u8),
    /// A minimum, which stands behind the scale.
    Minimum,
}

#[inline(always)]
fn half<I: Isa>(isa: I, block: &[u8], at: usize) -> f32 {
    isa.half(u16::from_le_bytes(*part(block, at)))
}

#[inline(always)]
fn offset<I: Isa>(isa: I, block: &[u8], zero: Zero, scale: f32) -> f32 {
    if zero == Zero::Minimum { half(isa, block, 2) } else { scale }
}

/// What the offsets of all blocks are multiplied with.
#[inline(always)]
fn unit<I: Isa>(zero: Zero) -> f32 {
    match zero {
        Zero::Signed if I::SHIFTS_SIGNED => -128.0,
        Zero::Signed => 0.0,
        Zero::Minus(number) => -f32::from(number),
        Zero::Minimum => 1.0,
    }
}

#[inline(always)]
fn five_bits<I: Isa>(isa: I, block: &[u8], at: usize) -> I::Bytes {
    let fifth = isa.sixteens(u32::from_le_bytes(*part(block, at)));
    isa.or(isa.nibbles(part(block, at + 4)), fifth)
}

#[inline(always)]
fn add<I: Isa, const M: usize>(isa: I, block: &Unpacked<I>, inputs: &BlockTile<M>, zero: Zero, sums: &mut Sums<I, M>) {
    if M == 1 {
        let dot = match zero {
            Zero::Signed => isa.dot_signed(block.numbers, &inputs.numbers[0]),
            _ => isa.dot(block.numbers, &inputs.numbers[0]),
        };
        sums.one = isa.add_scaled(sums.one, dot, block.scale * inputs.scales[0]);
    }
    let pairs = inputs.numbers.as_chunks().0.iter().zip(inputs.scales.as_chunks().0);
    for ((numbers, scales), sum) in pairs.zip(&mut sums.pairs) {
        let dot = match zero {
            Zero::Signed => isa.dot_signed_pair(block.numbers, numbers),
            _ => isa.dot_pair(block.numbers, numbers),
        };
        *sum = isa.add_scaled_pair(*sum, dot, block.scale, scales);
    }
    if zero != Zero::Signed || I::SHIFTS_SIGNED {
        let of_inputs = if zero == Zero::Minimum { &inputs.rounded_sums } else { &inputs.sums };
        for (sum, of_input) in sums.offsets.iter_mut().zip(of_inputs) {
            *sum += block.offset * of_input;
        }
    }
}

#[inline(always)]
fn totals<I: Isa, const M: usize>(isa: I, zero: Zero, sums: &Sums<I, M>) -> [f32; M] {
    let mut totals = sums.offsets;
    for total in &mut totals {
        *total *= unit::<I>(zero);
    }
    if M == 1 {
        totals[0] += isa.sum_eights(sums.one);
    }
    for (totals, pair) in totals.as_chunks_mut::<2>().0.iter_mut().zip(sums.pairs) {
        let [first, second] = isa.sum_pair(pair);
        totals[0] += first;
        totals[1] += second;
    }
    totals
}

macro_rules! blocks {
    ($Packing:ident, $bytes:literal, $zero:expr, |$isa:ident, $block:ident| $numbers:expr) => {
        impl Packing for $Packing {
            type Block = [u8; $bytes];
            type Form = inputs::Blocks;
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
                let scale = half($isa, $block, 0);
                Unpacked { numbers: $numbers, scale, offset: offset($isa, $block, $zero, scale) }
            }

            #[inline(always)]
            fn none<I: Isa, const M: usize>(isa: I) -> Sums<I, M> {
                Sums { one: isa.no_eights(), pairs: [isa.no_pair(); M], offsets: [0.0; M] }
            }

            #[inline(always)]
            fn add<I: Isa, const M: usize>(isa: I, block: &Unpacked<I>, inputs: &BlockTile<M>, sums: &mut Sums<I, M>) {
                add(isa, block, inputs, $zero, sums);
            }

            #[inline(always)]
            fn totals<I: Isa, const M: usize>(isa: I, sums: &Sums<I, M>) -> [f32; M] {
                totals(isa, $zero, sums)
            }
        }
    };
}

blocks!(Q4_0, 18, Zero::Minus(8), |isa, block| isa.nibbles(part(block, 2)));
blocks!(Q4_1, 20, Zero::Minimum, |isa, block| isa.nibbles(part(block, 4)));
blocks!(Q5_0, 22, Zero::Minus(16), |isa, block| five_bits(isa, block, 2));
blocks!(Q5_1, 24, Zero::Minimum, |isa, block| five_bits(isa, block, 4));
blocks!(Q8_0, 34, Zero::Signed, |isa, block| isa.signed(isa.bytes(part(block, 2))));
