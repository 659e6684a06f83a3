//! Rows of a table, and their gradients added up on all threads, in the same order in every run.

mod cpu;
#[cfg(feature = "cube")]
mod cube;
mod flex;
pub(crate) mod reference;
#[cfg(test)]
mod tests;

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, TensorMetadata, backend_extension};
#[cfg(feature = "fusion")]
use burn::tensor::Shape;
use burn::tensor::{Int, Tensor};

use crate::autodiff::record;
use crate::choice::GpuKernel;

/// The operation as a backend extension.
#[backend_extension(Autodiff, Flex, Cube: cfg(feature = "cube"), Fusion: cfg(feature = "fusion"))]
pub(crate) trait EmbeddingOps: Backend {
    /// `[V, E]` and `[N, M]` to `[N, M, E]`.
    #[fusion(dtype = weight, shape = {
        let ([_, width], [outer, inner]) = (weight.dims(), indices.dims());
        Shape::new([outer, inner, width])
    })]
    fn look_up(weight: FloatTensor<Self>, indices: IntTensor<Self>) -> FloatTensor<Self>;
}

/// Its gradient.
#[backend_extension(Flex, Cube: cfg(feature = "cube"), Fusion: cfg(feature = "fusion"))]
pub(crate) trait EmbeddingGradients: Backend {
    /// `[N, M]` and `[N, M, E]` to `[V, E]`.
    #[fusion(dtype = gradient, shape = {
        let [_, _, width] = gradient.dims();
        Shape::new([*rows, width])
    })]
    fn look_up_backward(indices: IntTensor<Self>, gradient: FloatTensor<Self>, rows: usize) -> FloatTensor<Self>;
}

/// The rows of a table that `indices` name.
///
/// # Shapes
/// - `weight`: `[V, E]`
/// - `indices`: `[N, M]`, each below V
/// - output: `[N, M, E]`
///
/// # Panics
/// On a CPU, if an index is not below V.
pub fn embedding(weight: Tensor<2>, indices: Tensor<2, Int>) -> Tensor<3> {
    if !GpuKernel::Embedding.or_cpu_body_for(&weight) {
        return reference::embedding(weight, indices);
    }
    Tensor::from_dispatch(Dispatch::look_up(weight.into_dispatch(), indices.into_dispatch()))
}

impl<B: EmbeddingOps + EmbeddingGradients, C: CheckpointStrategy> EmbeddingOps for Autodiff<B, C> {
    fn look_up(weight: FloatTensor<Self>, indices: IntTensor<Self>) -> FloatTensor<Self> {
        let [rows, _]: [usize; 2] = weight.shape().dims();
        let output = B::look_up(weight.primitive().clone(), indices.clone());
        record::<B, C, _, 1>([weight.node()], output, (indices, rows), |(indices, rows), gradient, _| {
            [Some(B::look_up_backward(indices, gradient, rows))]
        })
    }
}
