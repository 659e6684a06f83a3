//! First values of parameters.

use burn::module::{Param, ParamId};
use burn::tensor::{Device, Tensor, TensorData};
use kiln_kernels::{fill_normal, fill_uniform};

/// Gives the parameters of a model their first values, one after the other, in the order in which the model is put
/// together: parameter s takes stream s of Kiln's own generator, and so starts from the same numbers on every device.
pub(crate) struct Initializer<'a> {
    device: &'a Device,
    /// `None` gives parameters without values, for a model that is about to be loaded.
    seed: Option<u64>,
    /// Parameters so far.
    stream: u32,
}

impl<'a> Initializer<'a> {
    /// Draws from the generator with `seed`.
    pub(crate) fn random(seed: u64, device: &'a Device) -> Self {
        Self::random_from(seed, 0, device)
    }

    /// Draws from the generator with `seed`, beginning with a stream of its own.
    pub(crate) fn random_from(seed: u64, stream: u32, device: &'a Device) -> Self {
        Self { device, seed: Some(seed), stream }
    }

    /// Draws nothing and takes no memory: a parameter is zeros when it is read before it was loaded.
    pub(crate) fn blank(device: &'a Device) -> Self {
        Self { device, seed: None, stream: 0 }
    }

    /// A parameter drawn from N(0, deviation²).
    pub(crate) fn normal<const D: usize>(&mut self, shape: [usize; D], deviation: f64) -> Param<Tensor<D>> {
        self.parameter(shape, |seed, stream, values| fill_normal(seed, stream, deviation, values))
    }

    /// A parameter drawn from U(-bound, bound).
    pub(crate) fn uniform<const D: usize>(&mut self, shape: [usize; D], bound: f64) -> Param<Tensor<D>> {
        self.parameter(shape, |seed, stream, values| fill_uniform(seed, stream, bound, values))
    }

    /// A parameter of equal numbers.
    pub(crate) fn constant<const D: usize>(&mut self, shape: [usize; D], value: f32) -> Param<Tensor<D>> {
        self.parameter(shape, |_, _, values| values.fill(value))
    }

    /// A parameter whose numbers, zeros so far, `fill` changes; it is given the seed and the parameter's stream.
    pub(crate) fn parameter<const D: usize>(
        &mut self,
        shape: [usize; D],
        fill: impl FnOnce(u64, u32, &mut [f32]),
    ) -> Param<Tensor<D>> {
        let stream = self.stream;
        self.stream += 1;
        let Some(seed) = self.seed else { return blank(shape, self.device) };
        let mut values = vec![0.0; shape.iter().product()];
        fill(seed, stream, &mut values);
        Param::from_data(TensorData::new(values, shape), self.device)
    }
}

fn blank<const D: usize>(shape: [usize; D], device: &Device) -> Param<Tensor<D>> {
    Param::uninitialized(
        ParamId::new(),
        move |device, require_grad| Tensor::zeros(shape, device).set_require_grad(require_grad),
        device.clone(),
        true,
        shape.into(),
    )
}
