//! The feed-forward part of a block.

use burn::module::Module;
use burn::tensor::activation::{gelu, gelu_approximate, relu, silu};
use burn::tensor::{Device, Tensor};

use super::config::{FeedForwardActivation, TransformerConfig};
use crate::layers::Projection;

/// y = f(x W_in) W_out, or with SwiGLU y = (silu(x G) * (x U)) W_out, where `input` holds G and U side by side.
#[derive(Module, Debug)]
pub struct FeedForward {
    /// `[C, F]`, with SwiGLU `[C, 2 F]`: first the gate's columns, then the others.
    pub input: Projection,
    /// `[F, C]`.
    pub output: Projection,
    #[module(skip)]
    activation: FeedForwardActivation,
}

impl FeedForward {
    pub(super) fn init(config: &TransformerConfig, device: &Device) -> Self {
        let (width, inner) = (config.width, config.feed_forward_width());
        Self {
            input: config.projection([width, config.feed_forward_columns()], device),
            output: config.residual_projection([inner, width], device),
            activation: config.activation,
        }
    }

    /// `[N, C]` to `[N, C]`.
    pub(super) fn forward(&self, input: Tensor<2>) -> Tensor<2> {
        let inner = self.input.forward(input);
        let inner = match self.activation {
            FeedForwardActivation::Gelu => gelu(inner),
            FeedForwardActivation::GeluTanh => gelu_approximate(inner),
            FeedForwardActivation::ReluSquared => relu(inner).square(),
            FeedForwardActivation::Swiglu => {
                let width = inner.dims()[1] / 2;
                silu(inner.clone().narrow(1, 0, width)) * inner.narrow(1, width, width)
            }
        };
        self.output.forward(inner)
    }
}
