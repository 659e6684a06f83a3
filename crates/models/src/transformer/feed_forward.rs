//! The feed-forward part of a block.

use burn::module::Module;
use burn::tensor::Tensor;
use kiln_kernels::{Activation, Draws, activate, swiglu};

use super::config::TransformerConfig;
use super::options::FeedForwardActivation;
use crate::initializer::Initializer;
use crate::layers::Projection;

/// y = f(x W_in) W_out, or with gates y = (f(x G) * (x U)) W_out, where `input` holds G and U side by side.
#[derive(Module, Debug)]
pub struct FeedForward {
    /// `[C, F]`, with gates `[C, 2 F]`: first the gate's columns, then the others.
    pub input: Projection,
    /// `[F, C]`.
    pub output: Projection,
    #[module(skip)]
    activation: FeedForwardActivation,
}

impl FeedForward {
    /// Of these projections.
    pub(crate) fn new(input: Projection, output: Projection, activation: FeedForwardActivation) -> Self {
        Self { input, output, activation }
    }

    pub(super) fn init(config: &TransformerConfig, initializer: &mut Initializer<'_>) -> Self {
        let (width, inner) = (config.width, config.feed_forward_width());
        Self {
            input: config.projection([width, config.feed_forward_columns()], config.bias, initializer),
            output: config.residual_projection([inner, width], config.bias, initializer),
            activation: config.activation,
        }
    }

    /// `[N, C]` to `[N, F]`: all but the last projection.
    pub(crate) fn inner(&self, input: Tensor<2>, draws: &mut Draws) -> Tensor<2> {
        let inner = self.input.forward(input, draws);
        match self.activation {
            FeedForwardActivation::Relu => activate(inner, Activation::Relu),
            FeedForwardActivation::Gelu => activate(inner, Activation::Gelu),
            FeedForwardActivation::GeluTanh => activate(inner, Activation::GeluTanh),
            FeedForwardActivation::ReluSquared => activate(inner, Activation::ReluSquared),
            FeedForwardActivation::Swiglu => swiglu(inner),
            FeedForwardActivation::GegluTanh => {
                let [_, columns] = inner.dims();
                let half = |first: usize| inner.clone().narrow(1, first, columns / 2);
                activate(half(0), Activation::GeluTanh) * half(columns / 2)
            }
        }
    }
}
