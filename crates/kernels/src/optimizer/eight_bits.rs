//! Vectors of an optimizer's state in 8 bits a number.
//!
//! Dettmers, Lewis, Shleifer and Zettlemoyer, "8-bit Optimizers via Block-wise Quantization", 2022,
//! <https://arxiv.org/abs/2110.02861>: blocks of neighbours are divided by their largest magnitude (section 2.1), and
//! each number becomes the nearest of 256 levels, which lie the denser the smaller they are (section 1.3, dynamic tree
//! quantization, and without a sign for numbers that are never negative, section 2.2).

use std::sync::LazyLock;

use crate::cpu::{Split, for_rows};

/// Numbers that share a scale.
pub const BLOCK: usize = 256;

/// Exponents of the levels, powers of ten.
const EXPONENTS: i32 = 7;

/// Which levels a vector's numbers are rounded to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Levels {
    /// Of both signs.
    Signed,
    /// Of numbers that are never negative, twice as dense.
    NonNegative,
}

/// A vector in 8 bits a number, on the host.
#[derive(Debug, Clone, PartialEq)]
pub struct EightBits {
    /// The number of each number's level, counted from the lowest.
    codes: Vec<u8>,
    /// The largest magnitude of each block of [`BLOCK`] numbers.
    scales: Vec<f32>,
}

impl EightBits {
    /// The nearest to `values`, which are finite, and with [`Levels::NonNegative`] not below zero.
    pub fn pack(values: &[f32], levels: Levels) -> Self {
        let blocks = values.len().div_ceil(BLOCK);
        let (mut codes, mut scales) = (vec![0; values.len()], vec![0.0; blocks]);
        let map = Map::of(levels);
        let output = Blocks { codes: &mut codes, scales: &mut scales };
        for_rows(blocks, 8 * BLOCK, output, |rows, output| {
            let values = &values[rows.start * BLOCK..(rows.end * BLOCK).min(values.len())];
            let blocks = values.chunks(BLOCK).zip(output.codes.chunks_mut(BLOCK)).zip(output.scales);
            for ((values, codes), scale) in blocks {
                *scale = values.iter().fold(0.0, |most, value| most.max(value.abs()));
                // Of the smallest numbers there are the reciprocal would be infinite.
                let scale = scale.max(f32::MIN_POSITIVE);
                codes.iter_mut().zip(values).for_each(|(code, value)| *code = map.nearest(value / scale));
            }
        });
        Self { codes, scales }
    }

    /// The numbers.
    pub fn unpack(&self, levels: Levels) -> Vec<f32> {
        let mut values = vec![0.0; self.codes.len()];
        let map = Map::of(levels);
        let blocks = self.codes.len().div_ceil(BLOCK);
        // The last block may be shorter.
        let output = Values(&mut values);
        for_rows(blocks, 2 * BLOCK, output, |rows, output| {
            let codes = &self.codes[rows.start * BLOCK..(rows.end * BLOCK).min(self.codes.len())];
            let blocks = codes.chunks(BLOCK).zip(output.0.chunks_mut(BLOCK)).zip(&self.scales[rows]);
            for ((codes, values), scale) in blocks {
                values.iter_mut().zip(codes).for_each(|(value, code)| *value = map.levels[usize::from(*code)] * scale);
            }
        });
        values
    }

    /// Of a file: `None` if there isn't a finite scale that isn't negative for each block.
    pub fn from_parts(codes: Vec<u8>, scales: Vec<f32>) -> Option<Self> {
        let fits = scales.len() == codes.len().div_ceil(BLOCK);
        (fits && scales.iter().all(|scale| scale.is_finite() && *scale >= 0.0)).then_some(Self { codes, scales })
    }

    /// The number of each number's level, counted from the lowest.
    pub fn codes(&self) -> &[u8] {
        &self.codes
    }

    /// The largest magnitude of each block.
    pub fn scales(&self) -> &[f32] {
        &self.scales
    }
}

/// Codes and scales, cut between blocks.
struct Blocks<'a> {
    codes: &'a mut [u8],
    scales: &'a mut [f32],
}

impl Split for Blocks<'_> {
    fn split(self, row: usize) -> (Self, Self) {
        let codes = self.codes.split_at_mut((row * BLOCK).min(self.codes.len()));
        let scales = self.scales.split_at_mut(row);
        (Self { codes: codes.0, scales: scales.0 }, Self { codes: codes.1, scales: scales.1 })
    }
}

/// Numbers, cut between blocks.
struct Values<'a>(&'a mut [f32]);

impl Split for Values<'_> {
    fn split(self, row: usize) -> (Self, Self) {
        let (before, after) = self.0.split_at_mut((row * BLOCK).min(self.0.len()));
        (Self(before), Self(after))
    }
}

/// The levels in \[-1, 1\], rising, and how the nearest is found.
struct Map {
    levels: Vec<f32>,
    /// The code of 0.
    zero: u8,
    above: Side,
    below: Side,
}

/// The levels of one sign by their magnitudes.
struct Side {
    /// Between a level and the next larger one; infinity after the largest.
    thresholds: Vec<f32>,
    /// For each exponent and each 128th of it how many thresholds are below all of its magnitudes; there is one more
    /// among them at most.
    starts: Vec<u8>,
}

/// Bits of a single-precision number behind its exponent and seven more.
const SHIFT: u32 = 16;

impl Map {
    fn of(levels: Levels) -> &'static Self {
        static SIGNED: LazyLock<Map> = LazyLock::new(|| Map::new(Levels::Signed));
        static NON_NEGATIVE: LazyLock<Map> = LazyLock::new(|| Map::new(Levels::NonNegative));
        match levels {
            Levels::Signed => &SIGNED,
            Levels::NonNegative => &NON_NEGATIVE,
        }
    }

    /// 10^(e - 6) times the middles of 2^e (without a sign 2^(e + 1)) equal parts of \[0.1, 1\], for e from 0 to 6; 0
    /// and 1.
    fn new(kind: Levels) -> Self {
        let mut levels = vec![0.0, 1.0];
        for exponent in 0..EXPONENTS {
            let parts = 1 << (exponent + i32::from(kind == Levels::NonNegative));
            for part in 0..parts {
                let middle = 0.1 + 0.9 * (f64::from(part) + 0.5) / f64::from(parts);
                let level = middle * 10_f64.powi(exponent + 1 - EXPONENTS);
                levels.push(level as f32);
                if kind == Levels::Signed {
                    levels.push(-level as f32);
                }
            }
        }
        levels.sort_by(f32::total_cmp);
        let zero = levels.partition_point(|level| *level < 0.0);
        let below: Vec<f32> = levels[..=zero].iter().rev().map(|level| -level).collect();
        Self { zero: zero as u8, above: Side::new(&levels[zero..]), below: Side::new(&below), levels }
    }

    /// The code of the level nearest to a number in \[-1, 1\].
    fn nearest(&self, value: f32) -> u8 {
        let magnitude = value.abs();
        if value < 0.0 { self.zero - self.below.nearest(magnitude) } else { self.zero + self.above.nearest(magnitude) }
    }
}

impl Side {
    fn new(magnitudes: &[f32]) -> Self {
        let mut thresholds: Vec<f32> = magnitudes.windows(2).map(|pair| (pair[0] + pair[1]) / 2.0).collect();
        thresholds.push(f32::INFINITY);
        let start = |bits: u32| {
            let lowest = f32::from_bits(bits << SHIFT);
            thresholds.partition_point(|threshold| *threshold < lowest) as u8
        };
        let starts = (0..=1.0_f32.to_bits() >> SHIFT).map(start).collect();
        Self { thresholds, starts }
    }

    /// The number of the level nearest to a magnitude up to 1.
    fn nearest(&self, magnitude: f32) -> u8 {
        let start = self.starts[(magnitude.min(1.0).to_bits() >> SHIFT) as usize];
        start + u8::from(magnitude > self.thresholds[usize::from(start)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fill_uniform;

    /// Against all 256 levels, one after the other.
    #[test]
    fn no_level_is_nearer_than_the_one_that_is_taken() {
        let mut values = vec![0.0; 20_000];
        fill_uniform(3, 1, 1.0, &mut values);
        for (index, value) in values.iter_mut().enumerate() {
            *value = value.powi(1 + (index % 9) as i32);
        }
        values.extend([0.0, -0.0, 1.0, -1.0, f32::MIN_POSITIVE, 1e-40]);
        for kind in [Levels::Signed, Levels::NonNegative] {
            let map = Map::of(kind);
            for value in &values {
                let value = if kind == Levels::Signed { *value } else { value.abs() };
                let taken = (map.levels[usize::from(map.nearest(value))] - value).abs();
                let nearest = map.levels.iter().map(|level| (level - value).abs()).fold(f32::INFINITY, f32::min);
                assert!(taken <= nearest * 1.000_001, "{value}: {taken} {nearest}");
            }
        }
    }

    #[test]
    fn zeros_stay_zeros_and_a_damaged_state_is_refused() {
        let packed = EightBits::pack(&vec![0.0; 700], Levels::Signed);
        assert!(packed.unpack(Levels::Signed).iter().all(|value| *value == 0.0));
        assert_eq!(EightBits::from_parts(packed.codes().to_vec(), packed.scales().to_vec()), Some(packed.clone()));
        assert_eq!(EightBits::from_parts(packed.codes().to_vec(), vec![0.0; 2]), None);
        assert_eq!(EightBits::from_parts(packed.codes().to_vec(), vec![f32::NAN, 0.0, 0.0]), None);
        let empty = EightBits::pack(&[], Levels::Signed);
        assert!(empty.unpack(Levels::Signed).is_empty());
    }
}
