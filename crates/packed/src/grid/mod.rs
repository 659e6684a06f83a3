//! The whole numbers that a row is rounded to: which scales, which number is nearest, and the bytes of a block.

mod scales;
mod write;

#[cfg(test)]
mod tests;

use half::f16;

use self::scales::{affine, plain, symmetric};
use crate::{Format, PackedError};

/// What the numbers of a row can become in a format of whole numbers. In each group of 16 or 32 neighbours they are
///
/// ```text
/// scale (code - zero) + minimum
/// ```
///
/// with a scale and a minimum that were chosen for the group.
#[derive(Debug, Clone)]
pub struct Grid {
    format: Format,
    codes: Codes,
    groups: Vec<Group>,
    blocks: Vec<Block>,
}

/// The whole numbers of a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Codes {
    /// Numbers that share a scale.
    group: usize,
    /// The code of 0, where there is no minimum.
    zero: u8,
    /// The least and the greatest code.
    least: u8,
    greatest: u8,
    /// Which minima a group may have.
    minimum: Minimum,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Minimum {
    /// None.
    Zero,
    /// None above 0.
    NotPositive,
    /// Any.
    Any,
}

#[derive(Debug, Clone, Copy)]
struct Group {
    scale: f32,
    minimum: f32,
    /// What a number is multiplied with before it is rounded to a code.
    inverse: f32,
}

/// What a block keeps beside its codes: of 32 numbers a scale and a minimum, of 256 those of each part in whole numbers
/// too.
#[derive(Debug, Clone, Copy, Default)]
struct Block {
    scale: f16,
    minimum: f16,
    scales: [u8; 16],
    minima: [u8; 8],
}

impl Codes {
    fn of(format: Format) -> Option<Self> {
        let (group, zero, least, greatest, minimum) = match format {
            Format::F32 | Format::F16 | Format::Bf16 => return None,
            Format::Q4_0 => (32, 8, 0, 15, Minimum::Zero),
            Format::Q5_0 => (32, 16, 0, 31, Minimum::Zero),
            Format::Q8_0 => (32, 128, 1, 255, Minimum::Zero),
            Format::Q4_1 => (32, 0, 0, 15, Minimum::Any),
            Format::Q5_1 => (32, 0, 0, 31, Minimum::Any),
            Format::Q4K => (32, 0, 0, 15, Minimum::NotPositive),
            Format::Q5K => (32, 0, 0, 31, Minimum::NotPositive),
            Format::Q6K => (16, 32, 0, 63, Minimum::Zero),
        };
        Some(Self { group, zero, least, greatest, minimum })
    }

    /// The code of the nearest number, halves upwards; of 8 bits away from zero, as the reference does.
    fn nearest(self, group: Group, number: f32) -> u8 {
        let whole = (number - group.minimum) * group.inverse;
        let code = if self.least == 0 {
            (whole + (f32::from(self.zero) + 0.5)).floor()
        } else {
            whole.round() + f32::from(self.zero)
        };
        // A conversion of floats saturates, and makes 0 of what is not a number.
        (code as u8).clamp(self.least, self.greatest)
    }
}

impl Group {
    fn new(scale: f32, minimum: f32) -> Self {
        Self { scale, minimum, inverse: inverse(scale) }
    }
}

fn inverse(scale: f32) -> f32 {
    if scale == 0.0 { 0.0 } else { 1.0 / scale }
}

impl Grid {
    /// Chooses the scales of a row.
    ///
    /// With `importance`, one number for each of the row, they are those of the least sum of squared errors weighted
    /// with it, of some candidates each. Without it every number weighs the same; those of Q4_0 and Q8_0 are then
    /// the reference's, by the number of the greatest magnitude alone.
    ///
    /// # Errors
    /// [`PackedError::Floats`] if the format is one of floats, which have no grid; [`PackedError::Row`] if the row
    /// isn't a whole number of blocks.
    ///
    /// # Panics
    /// If `importance` has another length than the row.
    pub fn fit(format: Format, numbers: &[f32], importance: Option<&[f32]>) -> Result<Self, PackedError> {
        let codes = Codes::of(format).ok_or(PackedError::Floats(format))?;
        if format.row_bytes(numbers.len()).is_none() {
            return Err(PackedError::Row { format, inputs: numbers.len() });
        }
        let equal = [1.0; 32];
        let weights = |at: usize, length: usize| match importance {
            Some(importance) => &importance[at..at + length],
            None => &equal[..length],
        };
        let is_reference = importance.is_none() && matches!(format, Format::Q4_0 | Format::Q8_0);
        let chosen = |(index, numbers): (usize, &[f32])| {
            let weights = weights(index * codes.group, codes.group);
            match codes.minimum {
                Minimum::Zero if is_reference => plain(codes, numbers),
                Minimum::Zero => Group::new(symmetric(codes, numbers, weights), 0.0),
                _ => {
                    let (scale, minimum) = affine(codes, numbers, weights);
                    Group::new(scale, minimum)
                }
            }
        };
        let groups: Vec<Group> = numbers.chunks_exact(codes.group).enumerate().map(chosen).collect();
        let mut grid = Self { format, codes, groups: Vec::with_capacity(groups.len()), blocks: Vec::new() };
        for groups in groups.chunks_exact(format.block() / codes.group) {
            grid.keep(groups, is_reference);
        }
        Ok(grid)
    }

    /// Rounds the scales of a block to those that it can keep. The reference divides by a scale as it was before.
    fn keep(&mut self, wanted: &[Group], is_reference: bool) {
        let mut block = Block::default();
        if let [group] = wanted {
            block.scale = f16::from_f32(group.scale);
            block.minimum = f16::from_f32(group.minimum);
            let kept = Group::new(block.scale.to_f32(), block.minimum.to_f32());
            self.groups.push(if is_reference { Group { inverse: group.inverse, ..kept } } else { kept });
        } else if self.format == Format::Q6K {
            let farthest = |far: f32, group: &Group| if group.scale.abs() > far.abs() { group.scale } else { far };
            let scale = wanted.iter().fold(0.0, farthest) / -128.0;
            block.scale = f16::from_f32(scale);
            for (place, group) in block.scales.iter_mut().zip(wanted) {
                let whole = (group.scale * inverse(scale)).round() as i8;
                *place = whole.cast_unsigned();
                self.groups.push(Group::new(block.scale.to_f32() * f32::from(whole), 0.0));
            }
        } else {
            let scale = wanted.iter().fold(0.0_f32, |most, group| most.max(group.scale)) / 63.0;
            let minimum = wanted.iter().fold(0.0_f32, |most, group| most.max(-group.minimum)) / 63.0;
            (block.scale, block.minimum) = (f16::from_f32(scale), f16::from_f32(minimum));
            for (index, group) in wanted.iter().enumerate() {
                let six_bits = |number: f32, unit: f32| ((number * inverse(unit)).round() as u8).min(63);
                let (whole_scale, whole_minimum) = (six_bits(group.scale, scale), six_bits(-group.minimum, minimum));
                (block.scales[index], block.minima[index]) = (whole_scale, whole_minimum);
                let minimum = block.minimum.to_f32() * f32::from(whole_minimum);
                self.groups.push(Group::new(block.scale.to_f32() * f32::from(whole_scale), -minimum));
            }
        }
        self.blocks.push(block);
    }

    /// The code of what is nearest to `number` in the place `index` of the row.
    ///
    /// # Panics
    /// If the row has no such place.
    pub fn nearest(&self, index: usize, number: f32) -> u8 {
        self.codes.nearest(self.groups[index / self.codes.group], number)
    }

    /// The number that a code stands for in the place `index` of the row.
    ///
    /// # Panics
    /// If the row has no such place.
    pub fn value(&self, index: usize, code: u8) -> f32 {
        let group = self.groups[index / self.codes.group];
        group.scale * (f32::from(code) - f32::from(self.codes.zero)) + group.minimum
    }

    /// The codes of what is nearest to each number of a row.
    pub fn round(&self, numbers: &[f32]) -> Vec<u8> {
        let groups = numbers.chunks(self.codes.group).zip(&self.groups);
        groups.flat_map(|(numbers, group)| numbers.iter().map(|number| self.codes.nearest(*group, *number))).collect()
    }

    /// Appends the blocks of a row with these codes.
    pub fn write(&self, codes: &[u8], bytes: &mut Vec<u8>) {
        for (block, codes) in self.blocks.iter().zip(codes.chunks_exact(self.format.block())) {
            block.write(self.format, codes, bytes);
        }
    }
}
