//! An operation that is timed: what it is called with, and how.

use burn::tensor::{Device, Distribution, Int, Tensor, TensorData};

use super::super::meters::{Kept, Work};
use super::super::speed::Cost;

/// An operation of one size.
pub(super) struct Kernel {
    /// The sizes of its tensors, for a person.
    pub(super) shape: String,
    /// Kiln's own, if there is one.
    pub(super) fused: Option<Work<'static>>,
    /// The same composed of Burn's operations.
    pub(super) reference: Work<'static>,
    /// What a call of either has to do at least.
    pub(super) cost: Cost,
}

/// Numbers in (-1, 1).
pub(super) fn numbers<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(shape, Distribution::Uniform(-1.0, 1.0), device)
}

/// The same, with a gradient.
pub(super) fn tracked<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    numbers(shape, &device.clone().autodiff()).require_grad()
}

/// A recurrent weight of the usual size, with a gradient: larger ones saturate every gate.
pub(super) fn recurrent_weight(width: usize, gates: usize, device: &Device) -> Tensor<2> {
    let weight = numbers([width, gates * width], device) * (width as f64).powf(-0.5);
    Tensor::from_inner(weight).require_grad()
}

/// Integers below `limit` in no order.
pub(super) fn integers<const D: usize>(shape: [usize; D], limit: usize, device: &Device) -> Tensor<D, Int> {
    let hash = |index: usize| (index as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33;
    let values: Vec<i32> = (0..shape.iter().product()).map(|index| (hash(index) % limit as u64) as i32).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// A forward pass.
pub(super) fn forward<I: Clone + 'static, const D: usize>(
    inputs: &I,
    operation: impl Fn(I) -> Tensor<D> + 'static,
) -> Work<'static> {
    let inputs = inputs.clone();
    Box::new(move || -> Kept { Box::new(operation(inputs.clone())) })
}

/// A forward pass and a backward pass, with a gradient of ones.
pub(super) fn with_backward<I: Clone + 'static, const D: usize>(
    inputs: &I,
    operation: impl Fn(I) -> Tensor<D> + 'static,
) -> Work<'static> {
    let inputs = inputs.clone();
    Box::new(move || -> Kept { Box::new(operation(inputs.clone()).backward()) })
}

impl Kernel {
    /// An operation with both sides, which does `flops` operations and reads and writes `numbers` numbers at least.
    pub(super) fn new(shape: String, [fused, reference]: [Work<'static>; 2], flops: f64, numbers: f64) -> Self {
        let cost = Cost { flops, bytes: 4.0 * numbers };
        Self { shape, fused: Some(fused), reference, cost }
    }
}

/// A product of sizes.
pub(super) fn count<const N: usize>(sizes: [usize; N]) -> f64 {
    sizes.into_iter().map(|size| size as f64).product()
}
