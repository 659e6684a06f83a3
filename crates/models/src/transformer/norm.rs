//! Layer norm and RMS norm over the last axis.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use kiln_kernels::{layer_norm, rms_norm};

use super::config::NormKind;
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
    pub(super) fn init(
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
    pub(super) fn forward(&self, input: Tensor<2>) -> Tensor<2> {
        let weight = self.weight.val();
        match self.kind {
            NormKind::Layer => layer_norm(input, weight, self.bias.as_ref().map(Param::val), self.epsilon),
            NormKind::Rms => rms_norm(input, weight, self.epsilon),
        }
    }

    /// Normalises the last axis of `[A, B, H, C]`.
    pub(super) fn forward_heads(&self, input: Tensor<4>) -> Tensor<4> {
        let shape @ [outer, inner, heads, width] = input.dims();
        self.forward(input.reshape([outer * inner * heads, width])).reshape(shape)
    }
}
