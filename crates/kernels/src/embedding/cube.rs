//! The GPU body: Burn's own forward, and a backward in which a cube goes through all tokens for one row of the table.
//!
//! Burn's own backward has one unit for each column of the table, which goes through all tokens alone: a few hundred units on
//! a device that wants tens of thousands. Atomic additions of floating-point numbers, which WGSL lacks, would add in another
//! order in every run.

use burn::backend::ops::ModuleOps;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::tensor::DType;
use burn_cubecl::CubeBackend;
use burn_cubecl::cubecl::{self, prelude::*};
use burn_cubecl::kernel::{cast, into_contiguous};

use super::{EmbeddingGradients, EmbeddingOps};
use crate::cube::{cubes, empty, sizes, units_of_row};

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
        // Four columns and four tokens at a time for each unit would make for more registers, not for more speed.
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
        );
        output
    }
}

/// A cube has some columns of one row of the table. It looks at as many tokens at once as it has units, and adds up the
/// gradients of those that name the row, in the order of the tokens.
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
) {
    let row = CUBE_POS / blocks;
    if row >= rows {
        terminate!();
    }
    let unit = UNIT_POS as usize;
    let column = CUBE_POS % blocks * units + unit;
    let mut names_row = Shared::<[u32]>::new_slice(units);
    let some_name_row = Shared::<[Atomic<u32>]>::new_slice(1usize);
    let mut sum = f32::new(0.0);
    let mut first = 0usize;
    while first < tokens {
        if unit == 0 {
            some_name_row[0].store(0u32);
        }
        sync_cube();
        let token = first + unit;
        let mut is_named = 0u32;
        if token < tokens {
            if u32::cast_from(indices[token]) as usize == row {
                is_named = 1u32;
                some_name_row[0].store(1u32);
            }
        }
        names_row[unit] = is_named;
        sync_cube();
        if some_name_row[0].load() == 1u32 && column < width {
            for other in 0..units {
                if names_row[other] == 1u32 {
                    sum += gradient[(first + other) * width + column];
                }
            }
        }
        sync_cube();
        first += units;
    }
    if column < width {
        output[row * width + column] = sum;
    }
}
