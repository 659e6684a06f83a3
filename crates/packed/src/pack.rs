//! Single precision as packed numbers.

use half::{bf16, f16};

use crate::{Format, Grid, PackedError};

/// Appends `numbers`, whole blocks, as `format` has them: each becomes the nearest of those that the format can hold
/// with the scales of [`Grid::fit`].
///
/// # Errors
/// [`PackedError::Row`] if there is a part of a block.
pub fn pack(format: Format, numbers: &[f32], bytes: &mut Vec<u8>) -> Result<(), PackedError> {
    match format {
        Format::F32 => bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes())),
        Format::F16 => bytes.extend(numbers.iter().flat_map(|number| f16::from_f32(*number).to_le_bytes())),
        Format::Bf16 => bytes.extend(numbers.iter().flat_map(|number| bf16::from_f32(*number).to_le_bytes())),
        whole => {
            let grid = Grid::fit(whole, numbers, None)?;
            grid.write(&grid.round(numbers), bytes);
        }
    }
    Ok(())
}
