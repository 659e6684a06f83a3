//! First values of parameters.
//!
//! Burn's own initialisers draw when a parameter is first used. These draw at once, so that the order of the draws is
//! the order of construction.

use burn::module::Param;
use burn::tensor::{Device, Distribution, Tensor};

/// A parameter drawn from N(0, deviation^2).
pub(crate) fn normal<const D: usize>(shape: [usize; D], deviation: f64, device: &Device) -> Param<Tensor<D>> {
    drawn(shape, Distribution::Normal(0.0, deviation), device)
}

/// A parameter drawn from U(-bound, bound).
pub(crate) fn uniform<const D: usize>(shape: [usize; D], bound: f64, device: &Device) -> Param<Tensor<D>> {
    drawn(shape, Distribution::Uniform(-bound, bound), device)
}

/// A parameter of equal numbers.
pub(crate) fn constant<const D: usize>(shape: [usize; D], value: f64, device: &Device) -> Param<Tensor<D>> {
    device.memory_persistent_allocations(value, |value| Param::from_tensor(Tensor::full(shape, value, device)))
}

fn drawn<const D: usize>(shape: [usize; D], distribution: Distribution, device: &Device) -> Param<Tensor<D>> {
    device.memory_persistent_allocations(distribution, |distribution| {
        Param::from_tensor(Tensor::random(shape, distribution, device))
    })
}
