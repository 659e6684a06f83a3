//! Matrix products on GPUs, in single or mixed precision, and in mixed precision on CPUs, for comparison.

#[cfg(feature = "cube")]
mod cube;
#[cfg(feature = "cube")]
mod cube_mixed;
#[cfg(feature = "cube")]
mod cube_single;
#[cfg(feature = "cube")]
mod operation;
pub(crate) mod rounding;
#[cfg(all(test, feature = "cube"))]
mod tests;

use burn::tensor::{Device, Tensor};

#[cfg(feature = "cube")]
pub(crate) use cube::mixed_lacks as mixed_lacks_on;
#[cfg(feature = "cube")]
pub(crate) use cube_mixed::rounded;
#[cfg(feature = "cube")]
pub(crate) use operation::{Addends, ProductOps, is_product_for};

/// The precision of matrix products.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MatrixPrecision {
    /// Single precision throughout.
    Single,
    /// Operands rounded to bfloat16, their products added up in single precision.
    Mixed,
}

/// The product of two matrices on a GPU, without gradients, for benchmarks and tests; `None` where Kiln's kernels
/// cannot compute it.
///
/// # Shapes
/// - `left`: `[M, K]`
/// - `right`: `[K, N]`
/// - output: `[M, N]`
#[cfg_attr(not(feature = "cube"), expect(unused_variables, reason = "this build has no bodies for GPUs"))]
pub fn matrix_product(left: &Tensor<2>, right: &Tensor<2>, precision: MatrixPrecision) -> Option<Tensor<2>> {
    #[cfg(feature = "cube")]
    return operation::matrix_product(left, right, precision);
    #[cfg(not(feature = "cube"))]
    None
}

/// What a device lacks for products in mixed precision, as a clause; `None` if nothing. A CPU rounds the same operands,
/// which is slower than single precision there, but shows what a GPU would compute.
pub fn mixed_precision_lacks(device: &Device) -> Option<String> {
    #[cfg(feature = "cube")]
    if let burn::backend::DispatchDevice::Cube(device) = device.clone().inner().as_dispatch() {
        return cube::mixed_lacks(&device.client());
    }
    if let burn::backend::DispatchDevice::Flex(_) = device.clone().inner().as_dispatch() {
        return None;
    }
    Some("this backend multiplies in single precision alone".to_owned())
}
