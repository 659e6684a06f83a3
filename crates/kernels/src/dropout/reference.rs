//! The composition of Burn's operations, with the device's own random numbers.

use burn::tensor::{Distribution, Tensor};

use super::draws::Draw;

/// As [`crate::dropout`].
pub fn dropout<const D: usize>(input: Tensor<D>, probability: f64, draw: Draw) -> Tensor<D> {
    let device = input.device();
    device.seed(draw.device_seed());
    let kept = Tensor::<D>::random(input.dims(), Distribution::Bernoulli(1.0 - probability), &device);
    input * kept * (1.0 / (1.0 - probability))
}
