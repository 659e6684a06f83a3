//! Layer norm and RMS norm of the rows of a matrix.

mod cpu;
pub(crate) mod reference;
#[cfg(test)]
mod tests;

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, backend_extension};
use burn::tensor::Tensor;

use crate::autodiff::record;
use crate::flex::has_fast_body;

/// The operations as a backend extension. `epsilon` is added to the variance or the mean square.
#[backend_extension(Autodiff, Flex)]
pub(crate) trait NormOps: Backend {
    /// `[N, C]`, `[C]` and `[C]` to `[N, C]`.
    fn layer_norm(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self>;
    /// `[N, C]` and `[C]` to `[N, C]`.
    fn unbiased_layer_norm(input: FloatTensor<Self>, weight: FloatTensor<Self>, epsilon: f64) -> FloatTensor<Self>;
    /// `[N, C]` and `[C]` to `[N, C]`.
    fn rms_norm(input: FloatTensor<Self>, weight: FloatTensor<Self>, epsilon: f64) -> FloatTensor<Self>;
}

/// Which norm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NormKind {
    /// Less the mean, over the standard deviation.
    Layer,
    /// Over the root of the mean square.
    Rms,
}

/// Their gradients.
pub(crate) trait NormGradients: Backend {
    /// The output, and what the backward needs of each row: `[N, 2]`, the mean (0 for RMS) and the factor that the row was
    /// multiplied by.
    fn norm_keeping(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Option<FloatTensor<Self>>,
        kind: NormKind,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
    /// Gradients of input, weight and bias.
    fn norm_backward(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        statistics: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        kind: NormKind,
    ) -> [FloatTensor<Self>; 3];
}

/// (x - mean(x)) / sqrt(variance(x) + epsilon) weight + bias over each row (Ba et al. 2016,
/// <https://arxiv.org/abs/1607.06450>).
///
/// # Shapes
/// - `input` and output: `[N, C]`
/// - `weight`, `bias`: `[C]`
///
/// # Panics
/// When the shapes do not fit.
pub fn layer_norm(input: Tensor<2>, weight: Tensor<1>, bias: Option<Tensor<1>>, epsilon: f64) -> Tensor<2> {
    check(&input, &weight, bias.as_ref());
    if !has_fast_body(&input) {
        return reference::layer_norm(input, weight, bias, epsilon);
    }
    let (input, weight) = (input.into_dispatch(), weight.into_dispatch());
    Tensor::from_dispatch(match bias {
        Some(bias) => Dispatch::layer_norm(input, weight, bias.into_dispatch(), epsilon),
        None => Dispatch::unbiased_layer_norm(input, weight, epsilon),
    })
}

/// x / sqrt(mean(x²) + epsilon) weight over each row (Zhang and Sennrich 2019, <https://arxiv.org/abs/1910.07467>).
///
/// # Shapes
/// - `input` and output: `[N, C]`
/// - `weight`: `[C]`
///
/// # Panics
/// When the shapes do not fit.
pub fn rms_norm(input: Tensor<2>, weight: Tensor<1>, epsilon: f64) -> Tensor<2> {
    check(&input, &weight, None);
    if !has_fast_body(&input) {
        return reference::rms_norm(input, weight, epsilon);
    }
    Tensor::from_dispatch(Dispatch::rms_norm(input.into_dispatch(), weight.into_dispatch(), epsilon))
}

fn check(input: &Tensor<2>, weight: &Tensor<1>, bias: Option<&Tensor<1>>) {
    let ([_, width], [weights]) = (input.dims(), weight.dims());
    assert!(width > 0, "a norm needs at least one column");
    assert_eq!(width, weights, "a norm of {width} columns needs as many weights, not {weights}");
    if let Some(bias) = bias {
        assert_eq!(bias.dims(), [width], "a norm of {width} columns needs as many biases");
    }
}

impl<B: NormOps + NormGradients, C: CheckpointStrategy> NormOps for Autodiff<B, C> {
    fn layer_norm(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        let (x, w) = (input.primitive().clone(), weight.primitive().clone());
        let bias_of_output = Some(bias.primitive().clone());
        let (output, statistics) = B::norm_keeping(x.clone(), w.clone(), bias_of_output, NormKind::Layer, epsilon);
        let inputs = [input.node(), weight.node(), bias.node()];
        record::<B, C, _, 3>(inputs, output, (x, w, statistics), |(x, w, statistics), gradient, _| {
            B::norm_backward(x, w, statistics, gradient, NormKind::Layer).map(Some)
        })
    }

    fn unbiased_layer_norm(input: FloatTensor<Self>, weight: FloatTensor<Self>, epsilon: f64) -> FloatTensor<Self> {
        unbiased::<B, C>(input, weight, NormKind::Layer, epsilon)
    }

    fn rms_norm(input: FloatTensor<Self>, weight: FloatTensor<Self>, epsilon: f64) -> FloatTensor<Self> {
        unbiased::<B, C>(input, weight, NormKind::Rms, epsilon)
    }
}

fn unbiased<B: NormOps + NormGradients, C: CheckpointStrategy>(
    input: FloatTensor<Autodiff<B, C>>,
    weight: FloatTensor<Autodiff<B, C>>,
    kind: NormKind,
    epsilon: f64,
) -> FloatTensor<Autodiff<B, C>> {
    let (x, w) = (input.primitive().clone(), weight.primitive().clone());
    let (output, statistics) = B::norm_keeping(x.clone(), w.clone(), None, kind, epsilon);
    let inputs = [input.node(), weight.node()];
    record::<B, C, _, 2>(inputs, output, (x, w, statistics, kind), |(x, w, statistics, kind), gradient, _| {
        let [input, weight, _] = B::norm_backward(x, w, statistics, gradient, kind);
        [Some(input), Some(weight)]
    })
}
