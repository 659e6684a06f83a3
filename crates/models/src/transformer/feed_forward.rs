//! The feed-forward part of a block.

use burn::module::Module;
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};

use super::config::{FeedForwardActivation, TransformerConfig};
use crate::layers::{Projection, gelu, gelu_tanh, silu};

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
        let inner = match self.activation {
            FeedForwardActivation::Gelu => gelu(self.input.forward(input)),
            FeedForwardActivation::GeluTanh => gelu_tanh(self.input.forward(input)),
            FeedForwardActivation::ReluSquared => relu(self.input.forward(input)).square(),
            FeedForwardActivation::Swiglu => {
                let width = self.input.output_width() / 2;
                let gate = self.input.forward_columns(input.clone(), 0, width);
                silu(gate) * self.input.forward_columns(input, width, width)
            }
        };
        self.output.forward(inner)
    }
}
