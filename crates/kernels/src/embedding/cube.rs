//! The GPU body: Burn's own forward, and a backward in which a cube goes through all tokens for one row of the table.
//!
//! Burn's own backward has one unit for each column of the table, which goes through all tokens alone: a few hundred
//! units on a device that wants tens of thousands. Atomic additions of floating-point numbers, which WGSL lacks, would
//! add in another order in every run.

use burn::backend::ops::ModuleOps;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::tensor::DType;
use burn_cubecl::CubeBackend;
use burn_cubecl::cubecl::{self, prelude::*};
use burn_cubecl::kernel::{cast, into_contiguous};

use super::{EmbeddingGradients, EmbeddingOps};
use crate::cube::{cubes, empty, sizes, units_of_row};

/// Tokens that a unit looks at before the cube meets: a bit for each in a word.
const LOOKS: u32 = 32;

impl EmbeddingOps for CubeBackend {
    fn look_up(weight: FloatTensor<Self>, indices: IntTensor<Self>) -> FloatTensor<Self> {
        <Self as ModuleOps<Self>>::embedding(weight, indices)
    }
}

impl EmbeddingGradients for CubeBackend {
    fn look_up_backward(indices: IntTensor<Self>, gradient: FloatTensor<Self>, rows: usize) -> FloatTensor<Self> {
        let (indices, gradient) = (into_contiguous(cast(indices, DType::I32)), into_contiguous(gradient));
        let [outer, inner, width] = sizes(&gradient);
        let output = empty(&gradient, [rows, width]);
        let client = gradient.client.clone();
        // A unit has one column, not the four of a sum over the cube.
        let units = units_of_row(&client, 4 * width);
        let blocks = width.div_ceil(units.num_elems() as usize);
        add_up_rows::launch(
            &client,
            cubes(&client, rows * blocks),
            units,
            indices.into_buffer_arg(),
            gradient.into_buffer_arg(),
            output.clone().into_buffer_arg(),
            outer * inner,
            rows,
            width,
            blocks,
            units.num_elems() as usize,
            LOOKS,
        );
        output
    }
}

/// A cube has some columns of one row of the table. Its units look for the tokens that name the row, many at a time,
/// and then add up their gradients in the order of the tokens.
#[cube(launch)]
fn add_up_rows(
    indices: &[i32],
    gradient: &[f32],
    output: &mut [f32],
    tokens: usize,
    rows: usize,
    width: usize,
    blocks: usize,
    #[comptime] units: usize,
    #[comptime] looks: u32,
) {
    let row = CUBE_POS / blocks;
    if row >= rows {
        terminate!();
    }
    let unit = UNIT_POS as usize;
    let column = CUBE_POS % blocks * units + unit;
    // Bit by bit, whether the unit's token of each look names the row, and whether any unit's does.
    let mut named = Shared::<[u32]>::new_slice(units);
    let named_by_some = Shared::<[Atomic<u32>]>::new_slice(1usize);
    let mut sum = f32::new(0.0);
    let mut first = 0usize;
    while first < tokens {
        if unit == 0 {
            named_by_some[0].store(0u32);
        }
        sync_cube();
        let mut own = 0u32;
        for look in 0..looks {
            let token = first + look as usize * units + unit;
            if token < tokens && u32::cast_from(indices[token]) as usize == row {
                own |= 1u32 << look;
            }
        }
        named[unit] = own;
        if own != 0u32 {
            named_by_some[0].fetch_or(own);
        }
        sync_cube();
        let some = named_by_some[0].load();
        if some != 0u32 && column < width {
            for look in 0..looks {
                if (some >> look) & 1u32 == 1u32 {
                    for other in 0..units {
                        if (named[other] >> look) & 1u32 == 1u32 {
                            sum += gradient[(first + look as usize * units + other) * width + column];
                        }
                    }
                }
            }
        }
        sync_cube();
        first += units * looks as usize;
    }
    if column < width {
        output[row * width + column] = sum;
    }
}
