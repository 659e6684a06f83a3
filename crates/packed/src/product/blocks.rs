//! Blocks of 32 whole numbers.

use super::{Packing, part};
use crate::inputs::InputBlock;
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

/// A block in registers.
pub(super) struct Unpacked<I: Isa> {
    numbers: I::Bytes,
    scale: f32,
    minimum: f32,
}

/// Sums of products of blocks, and of their minima.
pub(super) struct Sums<I: Isa> {
    products: I::Eights,
    minima: f32,
}

impl<I: Isa> Clone for Sums<I> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<I: Isa> Copy for Sums<I> {}

/// Which whole number stands for zero.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Zero {
    /// 0, of signed numbers.
    Signed,
    /// This one, of unsigned numbers.
    Is(i32),
    /// None: a minimum stands behind the scale.
    Minimum,
}

#[inline(always)]
fn half<I: Isa>(isa: I, block: &[u8], at: usize) -> f32 {
    isa.half(u16::from_le_bytes(*part(block, at)))
}

#[inline(always)]
fn five_bits<I: Isa>(isa: I, block: &[u8], at: usize) -> I::Bytes {
    let fifth = isa.sixteens(u32::from_le_bytes(*part(block, at)));
    isa.or(isa.nibbles(part(block, at + 4)), fifth)
}

macro_rules! blocks {
    ($Packing:ident, $bytes:literal, $zero:expr, |$isa:ident, $block:ident| $numbers:expr) => {
        impl Packing for $Packing {
            type Block = [u8; $bytes];
            type Input = InputBlock;
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
                let minimum = if $zero == Zero::Minimum { half($isa, $block, 2) } else { 0.0 };
                Unpacked { numbers: $numbers, scale: half($isa, $block, 0), minimum }
            }

            #[inline(always)]
            fn none<I: Isa>(isa: I) -> Sums<I> {
                Sums { products: isa.no_eights(), minima: 0.0 }
            }

            #[inline(always)]
            fn add<I: Isa>(isa: I, block: &Unpacked<I>, input: &InputBlock, sums: Sums<I>) -> Sums<I> {
                let numbers = isa.bytes(&input.numbers);
                let dot = match $zero {
                    Zero::Signed => isa.dot(block.numbers, numbers, input.sum),
                    Zero::Is(zero) => isa.dot_unsigned(isa.only(-zero * input.sum), block.numbers, numbers),
                    Zero::Minimum => isa.dot_unsigned(isa.no_sums(), block.numbers, numbers),
                };
                let products = isa.add_scaled(sums.products, dot, block.scale * input.scale);
                let minima =
                    if $zero == Zero::Minimum { sums.minima + block.minimum * input.scaled_sum } else { sums.minima };
                Sums { products, minima }
            }

            #[inline(always)]
            fn sum<I: Isa>(isa: I, sums: Sums<I>) -> f32 {
                isa.sum_eights(sums.products) + sums.minima
            }
        }
    };
}

blocks!(Q4_0, 18, Zero::Is(8), |isa, block| isa.nibbles(part(block, 2)));
blocks!(Q4_1, 20, Zero::Minimum, |isa, block| isa.nibbles(part(block, 4)));
blocks!(Q5_0, 22, Zero::Is(16), |isa, block| five_bits(isa, block, 2));
blocks!(Q5_1, 24, Zero::Minimum, |isa, block| five_bits(isa, block, 4));
blocks!(Q8_0, 34, Zero::Signed, |isa, block| isa.bytes(part(block, 2)));
