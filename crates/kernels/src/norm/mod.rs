//! Layer norm and RMS norm of the rows of a matrix.

mod cpu;
#[cfg(feature = "cube")]
mod cube;
mod flex;
pub(crate) mod reference;
#[cfg(test)]
mod tests;

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
#[cfg(feature = "fusion")]
use burn::backend::fusion::custom::TensorSpec;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, backend_extension};
#[cfg(feature = "fusion")]
use burn::tensor::Shape;
use burn::tensor::Tensor;

use crate::autodiff::record;
use crate::choice::GpuKernel;
use cpu::NormKind;

/// The operations as a backend extension. `epsilon` is added to the variance or the mean square.
#[backend_extension(Autodiff, Flex, Cube: cfg(feature = "cube"), Fusion: cfg(feature = "fusion"))]
pub(crate) trait NormOps: Backend {
    /// `[N, C]`, `[C]` and `[C]` to `[N, C]`.
    #[fusion(dtype = input, shape = input)]
    fn layer_norm(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self>;
    /// `[N, C]` and `[C]` to `[N, C]`.
    #[fusion(dtype = input, shape = input)]
    fn unbiased_layer_norm(input: FloatTensor<Self>, weight: FloatTensor<Self>, epsilon: f64) -> FloatTensor<Self>;
    /// `[N, C]` and `[C]` to `[N, C]`.
    #[fusion(dtype = input, shape = input)]
    fn rms_norm(input: FloatTensor<Self>, weight: FloatTensor<Self>, epsilon: f64) -> FloatTensor<Self>;
}

/// Their gradients. What the backward needs of each row is `[N, 2]`: the mean (0 for RMS) and the factor that the row
/// was multiplied by.
#[backend_extension(Flex, Cube: cfg(feature = "cube"), Fusion: cfg(feature = "fusion"))]
pub(crate) trait NormGradients: Backend {
    /// The output, and what the backward needs of each row.
    #[fusion(meta = |input, weight, kind, epsilon| {
        let _ = (weight, kind, epsilon);
        output_and_statistics(input)
    })]
    fn norm_keeping(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        kind: NormKind,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
    /// The same of a layer norm with biases.
    #[fusion(meta = |input, weight, bias, epsilon| {
        let _ = (weight, bias, epsilon);
        output_and_statistics(input)
    })]
    fn biased_layer_norm_keeping(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
    /// Gradients of input, weight and bias.
    #[fusion(meta = |input, weight, statistics, gradient, kind| {
        let _ = (statistics, gradient, kind);
        (input.clone(), weight.clone(), weight.clone())
    })]
    fn norm_backward(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        statistics: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        kind: NormKind,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

/// What a norm that keeps makes of an input.
#[cfg(feature = "fusion")]
fn output_and_statistics(input: &TensorSpec) -> (TensorSpec, TensorSpec) {
    let [rows, _]: [usize; 2] = input.shape.dims();
    (input.clone(), TensorSpec::new(Shape::new([rows, 2]), input.dtype))
}

/// (x - mean(x)) / sqrt(variance(x) + epsilon) weight + bias over each row (Ba et al. 2016,
/// <https://arxiv.org/abs/1607.06450>).
///
/// # Shapes
/// - `input` and output: `[N, C]`
/// - `weight`, `bias`: `[C]`
///
/// # Panics
/// If the shapes do not fit.
pub fn layer_norm(input: Tensor<2>, weight: Tensor<1>, bias: Option<Tensor<1>>, epsilon: f64) -> Tensor<2> {
    check(&input, &weight, bias.as_ref());
    if !GpuKernel::Norm.or_cpu_body_for(&input) {
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
/// If the shapes do not fit.
pub fn rms_norm(input: Tensor<2>, weight: Tensor<1>, epsilon: f64) -> Tensor<2> {
    check(&input, &weight, None);
    if !GpuKernel::Norm.or_cpu_body_for(&input) {
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
        let bias_of_output = bias.primitive().clone();
        let (output, statistics) = B::biased_layer_norm_keeping(x.clone(), w.clone(), bias_of_output, epsilon);
        let inputs = [input.node(), weight.node(), bias.node()];
        record::<B, C, _, 3>(inputs, output, (x, w, statistics), |(x, w, statistics), gradient, _| {
            let (input, weight, bias) = B::norm_backward(x, w, statistics, gradient, NormKind::Layer);
            [Some(input), Some(weight), Some(bias)]
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
    let (output, statistics) = B::norm_keeping(x.clone(), w.clone(), kind, epsilon);
    let inputs = [input.node(), weight.node()];
    record::<B, C, _, 2>(inputs, output, (x, w, statistics, kind), |(x, w, statistics, kind), gradient, _| {
        let (input, weight, _) = B::norm_backward(x, w, statistics, gradient, kind);
        [Some(input), Some(weight)]
    })
}
