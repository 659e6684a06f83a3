//! Packed numbers: blocks of 32 that share a scale.

use burn::tensor::f16;

use super::kind::GgufType;
use super::super_blocks::{unpack_q4_k, unpack_q5_k, unpack_q6_k};

/// Numbers of a block.
pub(super) const BLOCK: usize = 32;

/// Appends the numbers of whole blocks. Each is computed as the reference does: the scale times the whole number in
/// `f32`, then the minimum added or subtracted, nothing fused.
pub(super) fn unpack(kind: GgufType, bytes: &[u8], numbers: &mut Vec<f32>) {
    let unpack_block = match kind {
        GgufType::Q4_0 => unpack_q4_0,
        GgufType::Q4_1 => unpack_q4_1,
        GgufType::Q5_0 => unpack_q5_0,
        GgufType::Q5_1 => unpack_q5_1,
        GgufType::Q8_0 => unpack_q8_0,
        GgufType::Q4K => unpack_q4_k,
        GgufType::Q5K => unpack_q5_k,
        GgufType::Q6K => unpack_q6_k,
        GgufType::F32 | GgufType::F16 | GgufType::Bf16 => unreachable!("{} is not packed", kind.name()),
    };
    for block in bytes.chunks_exact(kind.block_bytes()) {
        unpack_block(block, numbers);
    }
}

/// The half-precision number at `at`.
pub(super) fn half(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

/// The lower four bits of all bytes, then the upper four.
pub(super) fn halves(bytes: &[u8]) -> impl Iterator<Item = u8> {
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

/// 32 numbers as a block of Q8_0: the scale is the largest magnitude over 127 in `f32`, kept in half precision, and
/// each number is divided by it before that rounding, then rounded half away from zero.
pub(super) fn pack_q8_0(numbers: &[f32], bytes: &mut Vec<u8>) {
    let largest = numbers.iter().fold(0.0_f32, |largest, number| largest.max(number.abs()));
    let scale = largest / 127.0;
    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    bytes.extend_from_slice(&f16::from_f32(scale).to_le_bytes());
    bytes.extend(numbers.iter().map(|number| ((number * inverse).round() as i8).cast_unsigned()));
}
