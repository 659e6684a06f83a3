//! Layer norm and RMS norm over the last axis.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use kiln_kernels::{layer_norm, rms_norm};

use super::options::NormKind;
use crate::initializer::Initializer;

/// A norm over the last axis, of width C:
///
/// ```text
/// layer: y = (x - mean(x)) / sqrt(mean((x - mean(x))^2) + epsilon) * weight + bias
/// rms:   y = x / sqrt(mean(x^2) + epsilon) * weight
/// ```
#[derive(Module, Debug)]
pub struct Norm {
    /// `[C]`, starts at 1.
    pub weight: Param<Tensor<1>>,
    /// `[C]`, starts at 0; only a layer norm may have one.
    pub bias: Option<Param<Tensor<1>>>,
    #[module(skip)]
    kind: NormKind,
    epsilon: f64,
}

impl Norm {
    pub(crate) fn init(
        kind: NormKind,
        width: usize,
        bias: bool,
        epsilon: f64,
        initializer: &mut Initializer<'_>,
    ) -> Self {
        let bias = (bias && kind == NormKind::Layer).then(|| initializer.constant([width], 0.0));
        Self { weight: initializer.constant([width], 1.0), bias, kind, epsilon }
    }

    /// Normalises each row of `[N, C]`.
    pub(crate) fn forward(&self, input: Tensor<2>) -> Tensor<2> {
        let weight = self.weight.val();
        match self.kind {
            NormKind::Layer => layer_norm(input, weight, self.bias.as_ref().map(Param::val), self.epsilon),
            NormKind::Rms => rms_norm(input, weight, self.epsilon),
        }
    }

    /// Normalises each of the equal parts of width C that the last axis consists of.
    pub(super) fn forward_parts(&self, input: Tensor<3>) -> Tensor<3> {
        let (shape, [width]) = (input.dims(), self.weight.dims());
        let rows = shape.iter().product::<usize>() / width;
        self.forward(input.reshape([rows, width])).reshape(shape)
    }
}
