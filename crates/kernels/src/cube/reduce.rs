//! Sums and maxima over the units of a cube, of which there is a power of two.

use burn_cubecl::cubecl::{self, prelude::*};

/// The sum of the values of all units, in the same order in every run. `scratch` has a place for each unit; all units
/// of the cube must come here.
#[cube]
pub(crate) fn cube_sum(value: f32, scratch: &mut Shared<[f32]>) -> f32 {
    let unit = UNIT_POS as usize;
    scratch[unit] = value;
    sync_cube();
    let mut active = CUBE_DIM as usize / 2;
    while active > 0 {
        if unit < active {
            let other = scratch[unit + active];
            scratch[unit] += other;
        }
        sync_cube();
        active /= 2;
    }
    let total = scratch[0];
    // Nobody writes before everybody has read.
    sync_cube();
    total
}

/// The largest of the values of all units; as [`cube_sum`].
#[cube]
pub(crate) fn cube_max(value: f32, scratch: &mut Shared<[f32]>) -> f32 {
    let unit = UNIT_POS as usize;
    scratch[unit] = value;
    sync_cube();
    let mut active = CUBE_DIM as usize / 2;
    while active > 0 {
        if unit < active {
            let other = scratch[unit + active];
            if other > scratch[unit] {
                scratch[unit] = other;
            }
        }
        sync_cube();
        active /= 2;
    }
    let largest = scratch[0];
    sync_cube();
    largest
}
