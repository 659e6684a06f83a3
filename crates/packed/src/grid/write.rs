//! The bytes of a block: what [`unpack`](crate::unpack) reads.

use super::Block;
use crate::Format;

impl Block {
    /// Appends the block with these codes.
    pub(super) fn write(&self, format: Format, codes: &[u8], bytes: &mut Vec<u8>) {
        match format {
            Format::F32 | Format::F16 | Format::Bf16 => unreachable!("floats have no grid"),
            Format::Q4_0 | Format::Q5_0 | Format::Q8_0 => bytes.extend(self.scale.to_le_bytes()),
            Format::Q4_1 | Format::Q5_1 | Format::Q4K | Format::Q5K => {
                bytes.extend(self.scale.to_le_bytes());
                bytes.extend(self.minimum.to_le_bytes());
            }
            Format::Q6K => {}
        }
        match format {
            Format::Q8_0 => bytes.extend(codes.iter().map(|code| code.wrapping_sub(128))),
            Format::Q5_0 | Format::Q5_1 => {
                let fifth = codes.iter().zip(0..).fold(0_u32, |bits, (code, at)| bits | u32::from(code >> 4 & 1) << at);
                bytes.extend(fifth.to_le_bytes());
            }
            Format::Q4K => bytes.extend(self.six_bits()),
            Format::Q5K => {
                bytes.extend(self.six_bits());
                let place = |place: usize| {
                    let parts = codes.iter().skip(place).step_by(32).zip(0..);
                    parts.fold(0, |bits, (code, part)| bits | (code >> 4 & 1) << part)
                };
                bytes.extend((0..32).map(place));
            }
            _ => {}
        }
        match format {
            Format::Q8_0 => {}
            Format::Q4K | Format::Q5K => pairs(codes, 64, bytes),
            Format::Q6K => self.write_q6_k(codes, bytes),
            _ => pairs(codes, 32, bytes),
        }
    }

    /// The scales and minima of eight parts in 12 bytes.
    fn six_bits(&self) -> [u8; 12] {
        let mut packed = [0; 12];
        for part in 0..8 {
            let (scale, minimum) = (self.scales[part], self.minima[part]);
            if part < 4 {
                packed[part] |= scale;
                packed[part + 4] |= minimum;
            } else {
                packed[part + 4] = scale & 15 | minimum << 4;
                packed[part - 4] |= scale >> 4 << 6;
                packed[part] |= minimum >> 4 << 6;
            }
        }
        packed
    }

    fn write_q6_k(&self, codes: &[u8], bytes: &mut Vec<u8>) {
        pairs(codes, 128, bytes);
        for side in codes.chunks_exact(128) {
            let place = |place: usize| (0..4).fold(0, |bits, at| bits | (side[32 * at + place] >> 4) << (2 * at));
            bytes.extend((0..32).map(place));
        }
        bytes.extend(self.scales);
        bytes.extend(self.scale.to_le_bytes());
    }
}

/// The lower four bits of `length` codes at a time, those of the second half above those of the first.
fn pairs(codes: &[u8], length: usize, bytes: &mut Vec<u8>) {
    for codes in codes.chunks_exact(length) {
        let (low, high) = codes.split_at(length / 2);
        bytes.extend(low.iter().zip(high).map(|(low, high)| low & 15 | high << 4));
    }
}
