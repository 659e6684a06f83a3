//! Packed numbers as single precision.

pub(crate) mod super_blocks;

use half::{bf16, f16};

use self::super_blocks::{unpack_q4_k, unpack_q5_k, unpack_q6_k};
use crate::Format;
use crate::isa::{Isa, Kernel, dispatch};

/// Numbers of a block.
pub(crate) const BLOCK: usize = 32;

/// Appends the numbers of whole blocks. Each is computed as the reference does: the scale times the whole number in
/// `f32`, then the minimum added or subtracted, nothing fused.
pub fn unpack(format: Format, bytes: &[u8], numbers: &mut Vec<f32>) {
    let unpack_block: fn(&[u8], &mut Vec<f32>) = match format {
        Format::F32 => |bytes, numbers| numbers.push(f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])),
        Format::F16 => |bytes, numbers| numbers.push(half(bytes, 0)),
        Format::Bf16 => |bytes, numbers| numbers.push(bf16::from_le_bytes([bytes[0], bytes[1]]).to_f32()),
        Format::Q4_0 => unpack_q4_0,
        Format::Q4_1 => unpack_q4_1,
        Format::Q5_0 => unpack_q5_0,
        Format::Q5_1 => unpack_q5_1,
        Format::Q8_0 => unpack_q8_0,
        Format::Q4K => unpack_q4_k,
        Format::Q5K => unpack_q5_k,
        Format::Q6K => unpack_q6_k,
    };
    for block in bytes.chunks_exact(format.block_bytes()) {
        unpack_block(block, numbers);
    }
}

/// Writes floats as single precision, as [`unpack`] does but with vector instructions.
///
/// # Panics
/// If the format isn't one of floats, or there is another number of them.
pub fn widen(format: Format, bytes: &[u8], numbers: &mut [f32]) {
    assert!(format.is_float() && bytes.len() == numbers.len() * format.block_bytes(), "floats, and a place for each");
    dispatch(Widening { format, bytes, numbers });
}

struct Widening<'a> {
    format: Format,
    bytes: &'a [u8],
    numbers: &'a mut [f32],
}

impl Kernel for Widening<'_> {
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let (places, rest) = self.numbers.as_chunks_mut::<16>();
        let whole = places.len() * 16 * self.format.block_bytes();
        let (vectors, left) = self.bytes.split_at(whole);
        match self.format {
            Format::F16 | Format::Bf16 => {
                for (place, vector) in places.iter_mut().zip(bytemuck::cast_slice::<u8, u16>(vectors).as_chunks().0) {
                    let wide = if self.format == Format::F16 { isa.halves(vector) } else { isa.bfloats(vector) };
                    isa.store(wide, place);
                }
            }
            _ => {
                for (place, vector) in places.iter_mut().zip(bytemuck::cast_slice::<u8, f32>(vectors).as_chunks().0) {
                    isa.store(isa.floats(vector), place);
                }
            }
        }
        let mut last = Vec::with_capacity(rest.len());
        unpack(self.format, left, &mut last);
        rest.copy_from_slice(&last);
    }
}

/// The half-precision number at `at`.
pub(crate) fn half(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

/// The lower four bits of all bytes, then the upper four.
pub(crate) fn halves(bytes: &[u8]) -> impl Iterator<Item = u8> {
    bytes.iter().map(|byte| byte & 15).chain(bytes.iter().map(|byte| byte >> 4))
}

/// The scale (2 bytes), then 16 bytes with numbers i and i + 16; 8 is zero.
fn unpack_q4_0(block: &[u8], numbers: &mut Vec<f32>) {
    let scale = half(block, 0);
    numbers.extend(halves(&block[2..]).map(|number| scale * (f32::from(number) - 8.0)));
}

/// Scale and minimum, then as Q4_0.
fn unpack_q4_1(block: &[u8], numbers: &mut Vec<f32>) {
    let (scale, minimum) = (half(block, 0), half(block, 2));
    numbers.extend(halves(&block[4..]).map(|number| scale * f32::from(number) + minimum));
}

/// The numbers of 5 bits: the fifth bits are the bits of a word of 32, the others follow it as in Q4_0.
fn five_bits(bytes: &[u8]) -> impl Iterator<Item = u8> {
    let fifth = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    halves(&bytes[4..]).zip(0..BLOCK).map(move |(number, index)| number | ((fifth >> index & 1) as u8) << 4)
}

/// The scale, then numbers of 5 bits; 16 is zero.
fn unpack_q5_0(block: &[u8], numbers: &mut Vec<f32>) {
    let scale = half(block, 0);
    numbers.extend(five_bits(&block[2..]).map(|number| scale * (f32::from(number) - 16.0)));
}

/// Scale and minimum, then numbers of 5 bits.
fn unpack_q5_1(block: &[u8], numbers: &mut Vec<f32>) {
    let (scale, minimum) = (half(block, 0), half(block, 2));
    numbers.extend(five_bits(&block[4..]).map(|number| scale * f32::from(number) + minimum));
}

/// The scale, then numbers of 8 bits.
fn unpack_q8_0(block: &[u8], numbers: &mut Vec<f32>) {
    let scale = half(block, 0);
    numbers.extend(block[2..].iter().map(|byte| f32::from(byte.cast_signed()) * scale));
}
