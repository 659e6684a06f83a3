//! What a GPU can do beyond arithmetic in single precision.

use burn::tensor::Device;

/// What the driver of a GPU says that it can do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Abilities {
    /// Types of numbers that kernels can calculate with, such as `f16`.
    pub arithmetic: Vec<String>,
    /// Types of numbers that kernels can only store and convert.
    pub storage: Vec<String>,
    /// Products of small matrices that a group of units computes at once (cooperative matrices, tensor cores), such as
    /// `bf16 x bf16 into f32, 16 x 16 x 16`.
    pub matrix_products: Vec<String>,
    /// Whether a whole cube can compute products of larger matrices at once.
    pub matrix_products_of_cubes: bool,
    /// The least and the most units that run in step.
    pub plane_units: [u32; 2],
    /// The most units of a cube.
    pub cube_units: u32,
    /// Memory that the units of a cube share, in bytes.
    pub shared_bytes: usize,
    /// Processors that each run cubes of their own, where the driver says.
    pub processors: Option<u32>,
    /// The largest buffer, in bytes.
    pub buffer_bytes: u64,
}

/// Whether the device is a GPU, which works behind the host: the host hands it work, and waits when it reads.
pub fn is_gpu(device: &Device) -> bool {
    #[cfg(feature = "cube")]
    if let burn::backend::DispatchDevice::Cube(_) = device.clone().inner().as_dispatch() {
        return true;
    }
    let _ = device;
    false
}

/// What the device can do; `None` for one that is not driven through CubeCL.
pub fn abilities(device: &Device) -> Option<Abilities> {
    #[cfg(feature = "cube")]
    if let burn::backend::DispatchDevice::Cube(device) = device.clone().inner().as_dispatch() {
        return Some(of_cube(device.client().properties()));
    }
    let _ = device;
    None
}

#[cfg(feature = "cube")]
fn of_cube(properties: &burn_cubecl::cubecl::ir::DeviceProperties) -> Abilities {
    use burn_cubecl::cubecl::ir::features::TypeUsage;

    let (features, hardware) = (&properties.features, &properties.hardware);
    let types = |calculates: bool| {
        let chosen =
            features.types.elem.iter().filter(|(_, usage)| usage.contains(TypeUsage::Arithmetic) == calculates);
        chosen.map(|(element, _)| element.to_string()).collect()
    };
    let product = |product: &burn_cubecl::cubecl::ir::features::MmaConfig| {
        let (m, n, k) = (product.m, product.n, product.k);
        format!("{} x {} into {}, {m} x {n} x {k}", product.a_type, product.b_type, product.cd_type)
    };
    Abilities {
        arithmetic: types(true),
        storage: types(false),
        matrix_products: features.matmul.cmma.iter().map(product).collect(),
        matrix_products_of_cubes: !features.matmul.cube_mma.is_empty(),
        plane_units: [hardware.plane_size_min, hardware.plane_size_max],
        cube_units: hardware.max_units_per_cube,
        shared_bytes: hardware.max_shared_memory_size,
        processors: hardware.num_streaming_multiprocessors,
        buffer_bytes: properties.memory.max_page_size,
    }
}
