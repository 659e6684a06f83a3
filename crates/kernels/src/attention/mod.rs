//! Causal self-attention that never holds a matrix of all queries by all keys.

pub(crate) mod cached_cpu;
mod cpu;
mod cpu_backward;
#[cfg(test)]
mod cpu_tests;
mod cpu_tile;
#[cfg(feature = "cube")]
mod cube;
#[cfg(feature = "cube")]
mod cube_backward;
#[cfg(feature = "cube")]
mod cube_forward;
#[cfg(feature = "cube")]
mod cube_room;
#[cfg(feature = "cube")]
mod cube_tile;
mod flex;
mod geometry;
#[cfg(feature = "cube")]
mod mixed;
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
#[cfg(feature = "cube")]
use crate::choice::GpuKernel;
use crate::dropout::Draw;
use crate::flex::has_fast_body;
use crate::product::MatrixPrecision;
use crate::product::rounding::precision_on_cpu;
use reference::WeightDropout;

pub(crate) use geometry::CacheSizes;
pub use geometry::{AttentionHeads, AttentionScores};

/// The operations as a backend extension.
#[backend_extension(Autodiff, Flex, Cube: cfg(feature = "cube"), Fusion: cfg(feature = "fusion"))]
pub(crate) trait AttentionOps: Backend {
    /// `[B, T, (queries + 2 key_values) D]` to `[B, T, queries D]`.
    #[fusion(meta = |packed, heads, scores, dropout| {
        let _ = (scores, dropout);
        output_and_logarithms(packed, *heads).0
    })]
    fn causal_attention(
        packed: FloatTensor<Self>,
        heads: AttentionHeads,
        scores: AttentionScores,
        dropout: WeightDropout,
    ) -> FloatTensor<Self>;
}

/// Their gradients. GPU bodies don't drop weights.
#[backend_extension(Flex, Cube: cfg(feature = "cube"), Fusion: cfg(feature = "fusion"))]
pub(crate) trait AttentionGradients: Backend {
    /// The output, and the logarithm of the sum of exponentials of each query's scores, `[B, queries, T]`.
    #[fusion(meta = |packed, heads, scores, dropout| {
        let _ = (scores, dropout);
        output_and_logarithms(packed, *heads)
    })]
    fn causal_attention_keeping(
        packed: FloatTensor<Self>,
        heads: AttentionHeads,
        scores: AttentionScores,
        dropout: WeightDropout,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
    /// The gradient of the packed queries, keys and values.
    #[fusion(dtype = packed, shape = packed)]
    fn causal_attention_backward(
        packed: FloatTensor<Self>,
        output: FloatTensor<Self>,
        logarithms: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        heads: AttentionHeads,
        scores: AttentionScores,
        dropout: WeightDropout,
    ) -> FloatTensor<Self>;
}

/// Attention to a cache, which has no gradient.
#[backend_extension(Flex)]
pub(crate) trait CachedAttentionOps: Backend {
    /// `[B, T, queries D]` and `[B, key_values, capacity, D]` twice to `[B, T, queries D]`.
    fn cached_attention(
        query: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        values: FloatTensor<Self>,
        starts: &[usize],
        scores: AttentionScores,
    ) -> FloatTensor<Self>;
}

/// What attention that keeps makes of packed queries, keys and values.
#[cfg(feature = "fusion")]
fn output_and_logarithms(packed: &TensorSpec, heads: AttentionHeads) -> (TensorSpec, TensorSpec) {
    let [rows, steps, _]: [usize; 3] = packed.shape.dims();
    let spec = |shape: [usize; 3]| TensorSpec::new(Shape::new(shape), packed.dtype);
    (spec([rows, steps, heads.queries * heads.width]), spec([rows, heads.queries, steps]))
}

/// What is kept of the forward pass.
#[derive(Debug, Clone)]
pub(crate) struct AttentionKept<B: Backend> {
    packed: FloatTensor<B>,
    output: FloatTensor<B>,
    logarithms: FloatTensor<B>,
    heads: AttentionHeads,
    scores: AttentionScores,
    dropout: WeightDropout,
}

/// Causal self-attention over the heads of packed projections: for each head softmax(scale Q K^T + mask) V, where a
/// query sees the keys up to its own position. In tiles with an online softmax (Dao 2023, FlashAttention-2,
/// <https://arxiv.org/abs/2307.08691>), forward and backward: memory grows with T, not with T².
///
/// With a draw, each weight after the softmax is dropped with the given probability; a GPU then holds all weights at
/// once, and so it does with a window that is shorter than the text.
///
/// # Shapes
/// - `packed`: `[B, T, (queries + 2 key_values) D]`
/// - output: `[B, T, queries D]`
///
/// # Panics
/// If the columns are not those of the heads, the query heads are not a multiple of the key-value heads, there are no
/// positions, a query sees no key, or the probability is not in [0, 1).
///
/// # Examples
/// ```
/// use burn::tensor::{Device, Tensor};
/// use kiln_kernels::{AttentionHeads, AttentionScores, causal_attention};
///
/// let heads = AttentionHeads { queries: 2, key_values: 1, width: 4 };
/// let scores = AttentionScores { scale: 0.5, soft_cap: None, window: None };
/// let packed = Tensor::<3>::ones([1, 3, 16], &Device::flex());
/// let output = causal_attention(packed, heads, scores, 0.0, None);
/// assert_eq!(output.dims(), [1, 3, 8]);
/// // A mean of equal values is that value.
/// assert!(output.into_data().iter::<f32>().all(|x| (x - 1.0).abs() < 1e-6));
/// ```
pub fn causal_attention(
    packed: Tensor<3>,
    heads: AttentionHeads,
    scores: AttentionScores,
    dropout: f64,
    draw: Option<Draw>,
) -> Tensor<3> {
    let [_, steps, columns] = packed.dims();
    heads.check();
    assert!(steps > 0, "attention needs at least one position");
    assert_eq!(columns, heads.packed_columns(), "packed projections must have the columns of {heads:?}");
    assert!((0.0..1.0).contains(&dropout), "a probability of dropout is in [0, 1), not {dropout}");
    scores.check();
    let (scores, dropout) = (scores.within(steps), draw.filter(|_| dropout > 0.0).map(|draw| (dropout, draw)));
    let is_mixed = precision_on_cpu(&packed) == MatrixPrecision::Mixed;
    if is_mixed || !has_fast_body(&packed) && !has_gpu_body(&packed, heads, scores, dropout) {
        return reference::causal_attention(packed, heads, scores, dropout);
    }
    Tensor::from_dispatch(Dispatch::causal_attention(packed.into_dispatch(), heads, scores, dropout))
}

/// Attention of new queries to the keys and values in a cache, where those of the new tokens already are: query i of
/// row r is at position `starts[r] + i` and sees the positions `0..=starts[r] + i` of its row, or as many of them, the
/// last ones, as a window holds. What a row of the cache holds after its last query (padding, old numbers, even NaN)
/// has no influence. For inference: no gradient runs through the fast body.
///
/// # Shapes
/// - `query`: `[B, T, queries D]`
/// - `keys`, `values`: `[B, key_values, capacity, D]`
/// - `starts`: `[B]`
/// - output: `[B, T, queries D]`
///
/// # Panics
/// If the shapes do not fit, there isn't one start for each row, positions lie beyond the capacity, or a query sees no
/// key.
pub fn cached_attention(
    query: Tensor<3>,
    keys: Tensor<4>,
    values: Tensor<4>,
    starts: &[usize],
    scores: AttentionScores,
) -> Tensor<3> {
    let ([rows, steps, columns], [cached_rows, key_values, capacity, width]) = (query.dims(), keys.dims());
    assert_eq!(values.dims(), keys.dims(), "keys and values must have the same shape");
    assert_eq!(rows, cached_rows, "a cache of {cached_rows} rows does not fit queries of {rows}");
    assert!(
        width > 0 && columns % width == 0,
        "queries of {columns} columns are not a whole number of heads of {width}"
    );
    AttentionHeads { queries: columns / width, key_values, width }.check();
    assert!(steps > 0, "attention needs at least one position");
    assert_eq!(starts.len(), rows, "{} starts do not fit {rows} rows", starts.len());
    let positions = starts.iter().max().map_or(0, |start| start + steps);
    assert!(positions <= capacity, "positions up to {positions} lie beyond a cache of {capacity}");
    scores.check();
    let scores = scores.within(positions);
    if !has_fast_body(&query) || query.device().is_autodiff() {
        return reference::cached_attention(query, keys, values, starts, scores);
    }
    let (query, keys, values) = (query.into_dispatch(), keys.into_dispatch(), values.into_dispatch());
    Tensor::from_dispatch(Dispatch::cached_attention(query, keys, values, starts, scores))
}

/// Whether a GPU body works on the tensor: not if weights are dropped or keys are hidden by a window, and not on heads
/// that are too wide for the device.
#[cfg(feature = "cube")]
fn has_gpu_body(packed: &Tensor<3>, heads: AttentionHeads, scores: AttentionScores, dropout: WeightDropout) -> bool {
    let is_known = dropout.is_none() && scores.window.is_none();
    is_known && GpuKernel::Attention.is_for(packed) && cube_room::has_room(packed, heads)
}

#[cfg(not(feature = "cube"))]
fn has_gpu_body(_: &Tensor<3>, _: AttentionHeads, _: AttentionScores, _: WeightDropout) -> bool {
    false
}

impl<B: AttentionOps + AttentionGradients, C: CheckpointStrategy> AttentionOps for Autodiff<B, C> {
    fn causal_attention(
        packed: FloatTensor<Self>,
        heads: AttentionHeads,
        scores: AttentionScores,
        dropout: WeightDropout,
    ) -> FloatTensor<Self> {
        let input = packed.node();
        let packed = packed.into_primitive();
        let (output, logarithms) = B::causal_attention_keeping(packed.clone(), heads, scores, dropout);
        let kept = AttentionKept::<B> { packed, output: output.clone(), logarithms, heads, scores, dropout };
        record::<B, C, _, 1>([input], output, kept, |kept, gradient, _| {
            let AttentionKept { packed, output, logarithms, heads, scores, dropout } = kept;
            let found = B::causal_attention_backward(packed, output, logarithms, gradient, heads, scores, dropout);
            [Some(found)]
        })
    }
}
