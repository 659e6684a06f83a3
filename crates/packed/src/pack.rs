//! Single precision as packed numbers.

use half::{bf16, f16};

use crate::unpack::BLOCK;
use crate::{Format, PackedError};

/// Appends `numbers`, whole blocks, as `format` has them.
///
/// # Errors
/// [`PackedError::Unwritten`] for formats that are only read, [`PackedError::Row`] if there is a part of a block.
pub fn pack(format: Format, numbers: &[f32], bytes: &mut Vec<u8>) -> Result<(), PackedError> {
    if format.row_bytes(numbers.len()).is_none() {
        return Err(PackedError::Row { format, inputs: numbers.len() });
    }
    match format {
        Format::F32 => bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes())),
        Format::F16 => bytes.extend(numbers.iter().flat_map(|number| f16::from_f32(*number).to_le_bytes())),
        Format::Bf16 => bytes.extend(numbers.iter().flat_map(|number| bf16::from_f32(*number).to_le_bytes())),
        Format::Q8_0 => numbers.chunks_exact(BLOCK).for_each(|block| pack_q8_0(block, bytes)),
        Format::Q4_0 => numbers.chunks_exact(BLOCK).for_each(|block| pack_q4_0(block, bytes)),
        other => return Err(PackedError::Unwritten(other)),
    }
    Ok(())
}

/// 32 numbers as a block of Q8_0: the scale is the largest magnitude over 127 in `f32`, kept in half precision, and
/// each number is divided by it before that rounding, then rounded half away from zero.
fn pack_q8_0(numbers: &[f32], bytes: &mut Vec<u8>) {
    let largest = numbers.iter().fold(0.0_f32, |largest, number| largest.max(number.abs()));
    let scale = largest / 127.0;
    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    bytes.extend_from_slice(&f16::from_f32(scale).to_le_bytes());
    bytes.extend(numbers.iter().map(|number| ((number * inverse).round() as i8).cast_unsigned()));
}

/// 32 numbers as a block of Q4_0: the scale is the number of the largest magnitude over -8, so that it is exact; the
/// others are rounded to the nearest of 16 values.
fn pack_q4_0(numbers: &[f32], bytes: &mut Vec<u8>) {
    let farther = |far: f32, number: &f32| if number.abs() > far.abs() { *number } else { far };
    let scale = numbers.iter().fold(0.0, farther) / -8.0;
    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    bytes.extend_from_slice(&f16::from_f32(scale).to_le_bytes());
    let whole = |number: f32| ((number * inverse + 8.5) as i8).min(15).cast_unsigned();
    let (low, high) = numbers.split_at(BLOCK / 2);
    bytes.extend(low.iter().zip(high).map(|(low, high)| whole(*low) | whole(*high) << 4));
}
