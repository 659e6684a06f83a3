//! Packed numbers: blocks of 256 with a scale of their own for each of their parts.

use super::{half, halves};

/// The six-bit scales and minima of eight parts, packed into 12 bytes: the first four of each in the lower bits of
/// bytes 0 to 3 and 4 to 7, of the last four the lower halves in bytes 8 to 11 and the upper two bits above the first.
pub(crate) fn scale_and_minimum(packed: &[u8], part: usize) -> (u8, u8) {
    let (scale, minimum) = if part < 4 {
        (packed[part] & 63, packed[part + 4] & 63)
    } else {
        let low = packed[part + 4];
        (low & 15 | packed[part - 4] >> 6 << 4, low >> 4 | packed[part] >> 6 << 4)
    };
    (scale, minimum)
}

/// Scale and minimum of the block, those of its eight parts of 32, then 128 bytes: each 32 of them hold a part in their
/// lower halves and the next in their upper ones.
pub(super) fn unpack_q4_k(block: &[u8], numbers: &mut Vec<f32>) {
    let (whole_scale, whole_minimum) = (half(block, 0), half(block, 2));
    let parts = block[16..144].chunks_exact(32).flat_map(halves);
    numbers.extend(parts.enumerate().map(|(index, number)| {
        let (scale, minimum) = scale_and_minimum(&block[4..16], index / 32);
        (whole_scale * f32::from(scale)) * f32::from(number) - whole_minimum * f32::from(minimum)
    }));
}

/// As Q4_K, with a fifth bit: bit p of byte i of 32 belongs to number i of part p.
pub(super) fn unpack_q5_k(block: &[u8], numbers: &mut Vec<f32>) {
    let (whole_scale, whole_minimum) = (half(block, 0), half(block, 2));
    let fifth = &block[16..48];
    let parts = block[48..176].chunks_exact(32).flat_map(halves);
    numbers.extend(parts.enumerate().map(|(index, number)| {
        let (part, place) = (index / 32, index % 32);
        let (scale, minimum) = scale_and_minimum(&block[4..16], part);
        let number = number | (fifth[place] >> part & 1) << 4;
        (whole_scale * f32::from(scale)) * f32::from(number) - whole_minimum * f32::from(minimum)
    }));
}

/// The lower four bits (128 bytes), the upper two (64 bytes), 16 scales of 8 bits, the scale of the block. Each half
/// of the block takes 64 bytes of the first: their lower halves, then their upper ones; and 32 of the second, two bits
/// for each quarter. 32 is zero.
pub(super) fn unpack_q6_k(block: &[u8], numbers: &mut Vec<f32>) {
    let (low, high, scales) = (&block[..128], &block[128..192], &block[192..208]);
    let whole_scale = half(block, 208);
    let lower = low.chunks_exact(64).flat_map(halves);
    numbers.extend(lower.enumerate().map(|(index, lower)| {
        let (side, quarter, place) = (index / 128, index % 128 / 32, index % 32);
        let upper = high[side * 32 + place] >> (2 * quarter) & 3;
        let scale = f32::from(scales[index / 16].cast_signed());
        (whole_scale * scale) * (f32::from(lower | upper << 4) - 32.0)
    }));
}
