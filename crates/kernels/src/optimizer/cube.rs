//! The GPU body of the sum of squares: parts of the numbers first, then the sum of the parts, always in the same order.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, backend_extension};
#[cfg(feature = "fusion")]
use burn::tensor::Shape;
use burn::tensor::Tensor;
use burn_cubecl::CubeBackend;
use burn_cubecl::cubecl::{self, prelude::*};
use burn_cubecl::kernel::into_contiguous;

use crate::cube::{cube_sum, empty, sizes};

/// Units of a cube.
const UNITS: usize = 256;
/// Numbers that a unit adds up at least.
const LEAST: usize = 16;
/// The most parts: as many as the second step reads at once.
const MOST_PARTS: usize = 1024;

/// The operation as a backend extension.
#[backend_extension(Cube: cfg(feature = "cube"), Fusion: cfg(feature = "fusion"))]
pub(crate) trait SquaresOps: Backend {
    /// `[N]` to `[1]`.
    #[fusion(dtype = numbers, shape = {
        let _ = numbers;
        Shape::new([1])
    })]
    fn squares(numbers: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// As [`crate::sum_of_squares`], one tensor after the other.
pub(super) fn sum_of_squares(tensors: Vec<Tensor<1>>) -> Tensor<1> {
    let sums = tensors.into_iter().map(|tensor| Tensor::from_dispatch(Dispatch::squares(tensor.into_dispatch())));
    let sums: Vec<Tensor<1>> = sums.collect();
    let mut total = sums[0].clone();
    for sum in &sums[1..] {
        total = total + sum.clone();
    }
    total
}

impl SquaresOps for CubeBackend {
    fn squares(numbers: FloatTensor<Self>) -> FloatTensor<Self> {
        let numbers = into_contiguous(numbers);
        let [length] = sizes(&numbers);
        let client = numbers.client.clone();
        let parts = length.div_ceil(UNITS * LEAST).clamp(1, MOST_PARTS);
        let (of_parts, total) = (empty(&numbers, [parts]), empty(&numbers, [1]));
        let units = CubeDim::new_1d(UNITS as u32);
        let cubes = CubeCount::Static(parts as u32, 1, 1);
        let numbers = numbers.into_buffer_arg();
        sums_of_parts::launch(&client, cubes, units, numbers, of_parts.clone().into_buffer_arg(), length, parts, true);
        let cubes = CubeCount::Static(1, 1, 1);
        let of_parts = of_parts.into_buffer_arg();
        sums_of_parts::launch(&client, cubes, units, of_parts, total.clone().into_buffer_arg(), parts, 1, false);
        total
    }
}

/// Each cube adds up what is left of every `parts` blocks of its units.
#[cube(launch)]
fn sums_of_parts(numbers: &[f32], sums: &mut [f32], length: usize, parts: usize, #[comptime] squared: bool) {
    let mut scratch = Shared::new_slice(UNITS);
    let mut sum = f32::new(0.0);
    let mut place = CUBE_POS * UNITS + UNIT_POS as usize;
    while place < length {
        let number = numbers[place];
        if comptime!(squared) {
            sum += number * number;
        } else {
            sum += number;
        }
        place += parts * UNITS;
    }
    let total = cube_sum(sum, &mut scratch);
    if UNIT_POS == 0 {
        sums[CUBE_POS] = total;
    }
}
