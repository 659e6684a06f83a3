//! Arrays, which the compiler makes vectors of where it can.

use half::{bf16, f16};

use super::{Isa, two_at_a_time};

/// Any machine.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

#[inline(always)]
fn zip<const N: usize, T: Copy, U>(left: [T; N], right: [T; N], function: impl Fn(T, T) -> U) -> [U; N] {
    std::array::from_fn(|index| function(left[index], right[index]))
}

#[inline(always)]
fn dot(left: [i32; 32], right: [i32; 32]) -> [i32; 8] {
    std::array::from_fn(|lane| (4 * lane..4 * lane + 4).map(|index| left[index] * right[index]).sum())
}

#[inline(always)]
fn signed(bytes: [u8; 32]) -> [i32; 32] {
    bytes.map(|byte| i32::from(byte.cast_signed()))
}

impl Isa for Portable {
    type Floats = [f32; 16];
    type Bytes = [u8; 32];
    type Sums = [i32; 8];
    type Eights = [f32; 8];
    type Factors = [i32; 2];

    #[inline(always)]
    fn zeros(self) -> [f32; 16] {
        [0.0; 16]
    }

    #[inline(always)]
    fn floats(self, numbers: &[f32; 16]) -> [f32; 16] {
        *numbers
    }

    #[inline(always)]
    fn halves(self, numbers: &[u16; 16]) -> [f32; 16] {
        numbers.map(|bits| f16::from_bits(bits).to_f32())
    }

    #[inline(always)]
    fn bfloats(self, numbers: &[u16; 16]) -> [f32; 16] {
        numbers.map(|bits| bf16::from_bits(bits).to_f32())
    }

    #[inline(always)]
    fn multiply_add(self, left: [f32; 16], right: [f32; 16], sum: [f32; 16]) -> [f32; 16] {
        std::array::from_fn(|index| left[index] * right[index] + sum[index])
    }

    #[inline(always)]
    fn sum(self, numbers: [f32; 16]) -> f32 {
        numbers.iter().sum()
    }

    #[inline(always)]
    fn store(self, numbers: [f32; 16], place: &mut [f32; 16]) {
        *place = numbers;
    }

    #[inline(always)]
    fn half(self, bits: u16) -> f32 {
        f16::from_bits(bits).to_f32()
    }

    #[inline(always)]
    fn bytes(self, bytes: &[u8; 32]) -> [u8; 32] {
        *bytes
    }

    #[inline(always)]
    fn nibbles(self, bytes: &[u8; 16]) -> [u8; 32] {
        std::array::from_fn(|index| if index < 16 { bytes[index] & 15 } else { bytes[index - 16] >> 4 })
    }

    #[inline(always)]
    fn sixteens(self, bits: u32) -> [u8; 32] {
        std::array::from_fn(|index| ((bits >> index & 1) as u8) << 4)
    }

    #[inline(always)]
    fn splat(self, byte: u8) -> [u8; 32] {
        [byte; 32]
    }

    #[inline(always)]
    fn and(self, left: [u8; 32], right: [u8; 32]) -> [u8; 32] {
        zip(left, right, |left, right| left & right)
    }

    #[inline(always)]
    fn or(self, left: [u8; 32], right: [u8; 32]) -> [u8; 32] {
        zip(left, right, |left, right| left | right)
    }

    #[inline(always)]
    fn shift_left(self, bytes: [u8; 32], places: u32) -> [u8; 32] {
        bytes.map(|byte| byte << places)
    }

    #[inline(always)]
    fn shift_right(self, bytes: [u8; 32], places: u32) -> [u8; 32] {
        bytes.map(|byte| byte >> places)
    }

    const SHIFTS_SIGNED: bool = false;

    #[inline(always)]
    fn signed(self, bytes: [u8; 32]) -> [u8; 32] {
        bytes
    }

    #[inline(always)]
    fn dot(self, unsigned: [u8; 32], other: &[u8; 32]) -> [i32; 8] {
        dot(unsigned.map(i32::from), signed(*other))
    }

    #[inline(always)]
    fn dot_signed(self, weights: [u8; 32], other: &[u8; 32]) -> [i32; 8] {
        dot(signed(weights), signed(*other))
    }

    #[inline(always)]
    fn factors(self, factors: [i16; 2]) -> [i32; 2] {
        factors.map(i32::from)
    }

    #[inline(always)]
    fn dot_scaled(self, sums: [i32; 8], unsigned: [u8; 32], other: &[u8; 32], factors: [i32; 2]) -> [i32; 8] {
        let dots = self.dot(unsigned, other);
        std::array::from_fn(|lane| sums[lane] + dots[lane] * factors[lane / 4])
    }

    #[inline(always)]
    fn no_sums(self) -> [i32; 8] {
        [0; 8]
    }

    #[inline(always)]
    fn dot_words(self, left: &[i16; 16], right: &[i16; 16]) -> [i32; 8] {
        let product = |index: usize| i32::from(left[index]) * i32::from(right[index]);
        std::array::from_fn(|lane| product(2 * lane) + product(2 * lane + 1))
    }

    #[inline(always)]
    fn prefetch(self, _: *const u8) {}

    #[inline(always)]
    fn no_eights(self) -> [f32; 8] {
        [0.0; 8]
    }

    #[inline(always)]
    fn add_scaled(self, eights: [f32; 8], sums: [i32; 8], scale: f32) -> [f32; 8] {
        std::array::from_fn(|lane| eights[lane] + scale * sums[lane] as f32)
    }

    #[inline(always)]
    fn sum_eights(self, eights: [f32; 8]) -> f32 {
        eights.iter().sum()
    }

    two_at_a_time!();
}
