//! What the GPU bodies of all operations share: tensors, how work is laid out over a device, sums within a cube.
//!
//! The bodies are written in CubeCL, which compiles them for whatever the device of a tensor is (Vulkan, CUDA, ROCm,
//! Metal). CubeCL calls a thread a unit and a workgroup a cube. Kernels are launched with checks of bounds, so that no
//! launch is unsafe; within a cube, numbers are exchanged through shared memory alone, which every device has.

mod fours;
mod list;
mod reduce;
#[cfg(test)]
mod tests;

use burn::backend::{DispatchDevice, TensorMetadata};
use burn::tensor::{DType, Shape, Tensor};
use burn_cubecl::cubecl::calculate_cube_count_elemwise;
use burn_cubecl::cubecl::client::Client;
use burn_cubecl::cubecl::server::{CubeCount, CubeCountSelection, CubeDim};
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;

pub(crate) use fours::{Four, read, vector_size, write};
pub(crate) use list::on_list;
pub(crate) use reduce::{column_sums, cube_max, cube_sum, sum_of_rows};

/// The most units of a cube: more would leave a processor no room for a second cube while the first one waits for
/// memory.
const MOST_UNITS: u32 = 256;

/// Whether the tensor lies where the GPU bodies work, in the type of numbers that they have.
pub(crate) fn is_on_gpu<const D: usize>(tensor: &Tensor<D>) -> bool {
    let device = tensor.device().inner();
    matches!(device.as_dispatch(), DispatchDevice::Cube(_)) && tensor.dtype() == DType::F32
}

/// The sizes of a tensor of `D` axes.
///
/// # Panics
/// If it has another number of axes.
pub(crate) fn sizes<const D: usize>(tensor: &CubeTensor) -> [usize; D] {
    tensor.shape().dims()
}

/// A tensor on the device of another one, not yet written.
pub(crate) fn empty<const D: usize>(beside: &CubeTensor, shape: [usize; D]) -> CubeTensor {
    let (client, device) = (beside.client.clone(), beside.device.clone());
    empty_device_contiguous_dtype(client, device, Shape::new(shape), DType::F32)
}

/// `count` cubes, or some more if the device limits how many an axis has: a kernel ignores those beyond.
pub(crate) fn cubes(client: &Client, count: usize) -> CubeCount {
    CubeCountSelection::new(client, count as u32).cube_count()
}

/// Units and cubes for `count` pieces of work, each done by one unit.
pub(crate) fn one_by_one(client: &Client, count: usize) -> (CubeCount, CubeDim) {
    let units = CubeDim::new(client, count);
    (calculate_cube_count_elemwise(client, count, units), units)
}

/// How many units work on a row of `width` numbers, a power of two: each has about four of them at least, since the
/// cost of a sum over the cube grows with the units.
pub(crate) fn units_of_row(client: &Client, width: usize) -> CubeDim {
    let most = client.properties().hardware.max_units_per_cube.clamp(1, MOST_UNITS);
    let wanted = (width as u32).div_ceil(4).next_power_of_two().clamp(32, MOST_UNITS);
    // The largest power of two that is not above the limit.
    CubeDim::new_1d(wanted.min(1 << most.ilog2()))
}
