//! Softmax cross-entropy from logits and targets, with the projection to the logits folded in or not.

pub(crate) mod cpu;
#[cfg(feature = "cube")]
mod cube;
mod flex;
mod projected_cpu;
pub(crate) mod reference;
#[cfg(test)]
mod tests;

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
#[cfg(feature = "fusion")]
use burn::backend::fusion::custom::TensorSpec;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, backend_extension};
use burn::tensor::{Int, Tensor};

use crate::autodiff::record;
use crate::choice::GpuKernel;
use crate::flex::has_fast_body;
use crate::product::MatrixPrecision;
use crate::product::rounding::precision_on_cpu;

/// The operation on logits as a backend extension.
#[backend_extension(Autodiff, Flex, Cube: cfg(feature = "cube"), Fusion: cfg(feature = "fusion"))]
pub(crate) trait CrossEntropyOps: Backend {
    /// `[N, V]` and `[N]` to `[N]`.
    #[fusion(dtype = logits, shape = targets)]
    fn cross_entropy(logits: FloatTensor<Self>, targets: IntTensor<Self>) -> FloatTensor<Self>;
}

/// Its gradient.
#[backend_extension(Flex, Cube: cfg(feature = "cube"), Fusion: cfg(feature = "fusion"))]
pub(crate) trait CrossEntropyGradients: Backend {
    /// The losses, and the logarithm of the sum of exponentials of each row.
    #[fusion(meta = |logits, targets| {
        let row = TensorSpec::new(targets.shape.clone(), logits.dtype);
        (row.clone(), row)
    })]
    fn cross_entropy_keeping(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
    /// The gradient of the logits from that of the losses.
    #[fusion(dtype = logits, shape = logits)]
    fn cross_entropy_backward(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
        logarithms: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
}

/// The operation on what logits are projected from. On a GPU, where another product costs more than memory, the logits
/// are computed whole.
#[backend_extension(Autodiff, Flex)]
pub(crate) trait ProjectedCrossEntropyOps: Backend {
    /// `[N, C]`, `[C, V]`, `[V]` and `[N]` to `[N]`.
    fn projected_cross_entropy(
        hidden: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        targets: IntTensor<Self>,
    ) -> FloatTensor<Self>;
}

/// Its gradients.
pub(crate) trait ProjectedCrossEntropyGradients: Backend {
    /// As [`cross_entropy_keeping`](CrossEntropyGradients::cross_entropy_keeping).
    fn projected_cross_entropy_keeping(
        hidden: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        targets: IntTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
    /// The gradients of hidden, weight and bias.
    fn projected_cross_entropy_backward(
        operands: ProjectedOperands<Self>,
        logarithms: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 3];
}

/// What the logits of [`projected_cross_entropy`] are computed from.
#[derive(Debug, Clone)]
pub(crate) struct ProjectedOperands<B: Backend> {
    /// `[N, C]`.
    pub(crate) hidden: FloatTensor<B>,
    /// `[C, V]`.
    pub(crate) weight: FloatTensor<B>,
    /// `[V]`.
    pub(crate) bias: FloatTensor<B>,
    /// `[N]`.
    pub(crate) targets: IntTensor<B>,
}

/// -ln softmax(logits)\[target\] of each row, nats.
///
/// # Shapes
/// - `logits`: `[N, V]`
/// - `targets`: `[N]`, each below V
/// - output: `[N]`
///
/// # Panics
/// If the shapes do not fit or, on a CPU, a target is not below V; a body for GPUs returns NaN for it.
///
/// # Examples
/// ```
/// use burn::tensor::{Device, Int, Tensor};
/// use kiln_kernels::cross_entropy;
///
/// let device = Device::flex();
/// let targets = Tensor::<1, Int>::from_data([1, 3], &device);
/// let losses = cross_entropy(Tensor::zeros([2, 4], &device), targets);
/// // Four equal logits: every target has the probability 1/4.
/// assert!(losses.into_data().iter::<f32>().all(|loss| (loss - 4f32.ln()).abs() < 1e-6));
/// ```
pub fn cross_entropy(logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
    let ([rows, vocabulary], [count]) = (logits.dims(), targets.dims());
    assert_eq!(rows, count, "{rows} rows of logits need as many targets, not {count}");
    assert!(vocabulary > 0, "a softmax needs at least one logit");
    if !GpuKernel::CrossEntropy.or_cpu_body_for(&logits) {
        return reference::cross_entropy(logits, targets);
    }
    Tensor::from_dispatch(Dispatch::cross_entropy(logits.into_dispatch(), targets.into_dispatch()))
}

/// [`cross_entropy`] of the logits `hidden weight + bias`, which never exist all at once: some rows at a time, and
/// again in the backward pass. That costs a third more arithmetic for this product, and memory for `[rows at a time,
/// V]` only. This is done on a CPU; elsewhere the logits are computed whole.
///
/// # Shapes
/// - `hidden`: `[N, C]`
/// - `weight`: `[C, V]`
/// - `bias`: `[V]`
/// - `targets`: `[N]`, each below V
/// - output: `[N]`
///
/// # Panics
/// If the shapes do not fit or, on a CPU, a target is not below V; a body for GPUs returns NaN for it.
pub fn projected_cross_entropy(
    hidden: Tensor<2>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    targets: Tensor<1, Int>,
) -> Tensor<1> {
    let ([rows, inner], [height, vocabulary], [count]) = (hidden.dims(), weight.dims(), targets.dims());
    assert_eq!(inner, height, "an input of {inner} columns does not fit a weight of {height} rows");
    assert_eq!(rows, count, "{rows} rows need as many targets, not {count}");
    assert!(vocabulary > 0, "a softmax needs at least one logit");
    if let Some(bias) = &bias {
        assert_eq!(bias.dims(), [vocabulary], "a bias must have as many numbers as the weight has columns");
    }
    if !has_fast_body(&hidden) || precision_on_cpu(&hidden) == MatrixPrecision::Mixed {
        return cross_entropy(crate::affine(hidden, weight, bias, None), targets);
    }
    let bias = bias.unwrap_or_else(|| Tensor::zeros([vocabulary], (&hidden.device(), hidden.dtype())));
    Tensor::from_dispatch(Dispatch::projected_cross_entropy(
        hidden.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
        targets.into_dispatch(),
    ))
}

impl<B: CrossEntropyOps + CrossEntropyGradients, C: CheckpointStrategy> CrossEntropyOps for Autodiff<B, C> {
    fn cross_entropy(logits: FloatTensor<Self>, targets: IntTensor<Self>) -> FloatTensor<Self> {
        let x = logits.primitive().clone();
        let (losses, logarithms) = B::cross_entropy_keeping(x.clone(), targets.clone());
        let state = (x, targets, logarithms);
        record::<B, C, _, 1>([logits.node()], losses, state, |(x, targets, logarithms), gradient, _| {
            [Some(B::cross_entropy_backward(x, targets, logarithms, gradient))]
        })
    }
}

impl<B, C: CheckpointStrategy> ProjectedCrossEntropyOps for Autodiff<B, C>
where
    B: ProjectedCrossEntropyOps + ProjectedCrossEntropyGradients,
{
    fn projected_cross_entropy(
        hidden: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        targets: IntTensor<Self>,
    ) -> FloatTensor<Self> {
        let inputs = [hidden.node(), weight.node(), bias.node()];
        let operands = ProjectedOperands::<B> {
            hidden: hidden.into_primitive(),
            weight: weight.into_primitive(),
            bias: bias.into_primitive(),
            targets,
        };
        let ProjectedOperands { hidden, weight, bias, targets } = operands.clone();
        let (losses, logarithms) = B::projected_cross_entropy_keeping(hidden, weight, bias, targets);
        record::<B, C, _, 3>(inputs, losses, (operands, logarithms), |(operands, logarithms), gradient, _| {
            B::projected_cross_entropy_backward(operands, logarithms, gradient).map(Some)
        })
    }
}
