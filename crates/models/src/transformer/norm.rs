//! Layer norm and RMS norm over the last axis.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, assert_shape};

use super::config::NormKind;
use crate::layers::constant;

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
    pub(super) fn init(kind: NormKind, width: usize, bias: bool, epsilon: f64, device: &Device) -> Self {
        let bias = (bias && kind == NormKind::Layer).then(|| constant([width], 0.0, device));
        Self { weight: constant([width], 1.0, device), bias, kind, epsilon }
    }

    /// Normalises the last axis, whatever the axes before.
    pub(super) fn forward<const D: usize>(&self, input: Tensor<D>) -> Tensor<D> {
        let [width] = self.weight.dims();
        assert_shape!(input, [.., width]);
        let weight = self.weight.val();
        match self.kind {
            NormKind::Layer => {
                let bias = self.bias.as_ref().map(Param::val);
                burn::tensor::module::layer_norm(input, weight, bias, self.epsilon)
            }
            NormKind::Rms => {
                let mean_square = input.clone().square().mean_dim(D - 1);
                let scale = (mean_square + self.epsilon).sqrt().recip();
                input * scale * weight.unsqueeze()
            }
        }
    }
}
