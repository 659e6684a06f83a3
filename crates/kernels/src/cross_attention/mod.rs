//! Attention of one sequence to another, or to itself in both directions, where every row has a length of its own.

mod cpu;
mod cpu_backward;
mod flex;
pub(crate) mod reference;
#[cfg(test)]
mod tests;

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, backend_extension};
use burn::tensor::Tensor;

use crate::affine::{Optional, optional};
use crate::attention::AttentionHeads;
use crate::attention::reference::WeightDropout;
use crate::autodiff::record;
use crate::dropout::Draw;
use crate::flex::has_fast_body;
use crate::product::MatrixPrecision;
use crate::product::rounding::precision_on_cpu;

/// Which keys the queries of each row see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenKeys {
    /// Keys that each row has, at least one, `[B]`; what follows them is padding.
    pub lengths: Vec<usize>,
    /// Where queries see no later key: the position of the first query of each row among the keys, `[B]`.
    pub starts: Option<Vec<usize>>,
}

impl SeenKeys {
    /// How many keys query number `query` of a row sees, the first ones.
    pub(crate) fn count(&self, row: usize, query: usize) -> usize {
        let length = self.lengths[row];
        self.starts.as_ref().map_or(length, |starts| length.min(starts[row] + query + 1))
    }

    fn check(&self, rows: usize, keys: usize) {
        assert_eq!(self.lengths.len(), rows, "{} lengths do not fit {rows} rows", self.lengths.len());
        let fits = self.lengths.iter().all(|length| (1..=keys).contains(length));
        assert!(fits, "every row has between 1 and {keys} keys, not {:?}", self.lengths);
        let starts = self.starts.as_ref().map_or(rows, Vec::len);
        assert_eq!(starts, rows, "{starts} starts do not fit {rows} rows");
    }
}

/// What is the same for all rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scoring {
    pub(crate) heads: AttentionHeads,
    /// What the product of query and key is multiplied by.
    pub(crate) scale: f64,
    pub(crate) dropout: WeightDropout,
}

/// The operation as a backend extension.
#[backend_extension(Autodiff, Flex)]
pub(crate) trait CrossAttentionOps: Backend {
    /// `[B, Q, queries D]`, `[B, K, 2 key_values D]` and `[1 or B, queries, Q, K]` to `[B, Q, queries D]`.
    fn cross_attention(
        query: FloatTensor<Self>,
        keys_and_values: FloatTensor<Self>,
        #[extension_type] bias: Optional<Self>,
        seen: &SeenKeys,
        scoring: Scoring,
    ) -> FloatTensor<Self>;
}

/// Its gradients.
pub(crate) trait CrossAttentionGradients: Backend {
    /// The output, and the logarithm of the sum of exponentials of each query's scores, `[B, queries, Q]`.
    fn cross_attention_keeping(
        query: FloatTensor<Self>,
        keys_and_values: FloatTensor<Self>,
        bias: Option<FloatTensor<Self>>,
        seen: &SeenKeys,
        scoring: Scoring,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// The gradients of the queries, of the keys and values, and of the bias.
    fn cross_attention_backward(kept: Kept<Self>, gradient: FloatTensor<Self>) -> [Option<FloatTensor<Self>>; 3];
}

/// What is kept of the forward pass.
#[derive(Debug, Clone)]
pub(crate) struct Kept<B: Backend> {
    pub(crate) query: FloatTensor<B>,
    pub(crate) keys_and_values: FloatTensor<B>,
    pub(crate) bias: Option<FloatTensor<B>>,
    pub(crate) output: FloatTensor<B>,
    pub(crate) logarithms: FloatTensor<B>,
    pub(crate) seen: SeenKeys,
    pub(crate) scoring: Scoring,
}

/// Attention of queries to the keys of another sequence, or of their own (Vaswani et al. 2017,
/// <https://arxiv.org/abs/1706.03762>): for each head softmax(scale Q K^T + bias) V over the keys that `seen` says.
/// What a row holds behind its length has no influence. With a draw, each weight after the softmax is dropped with the
/// given probability. On a GPU the composition of Burn's operations runs, which holds all weights at once.
///
/// # Shapes
/// - `query`: `[B, Q, queries D]`
/// - `keys_and_values`: `[B, K, 2 key_values D]`, the columns of all key heads, then of all value heads
/// - `bias`: `[queries, Q, K]` for all rows, or for each, `[1 or B, queries, Q, K]`
/// - output: `[B, Q, queries D]`
///
/// # Panics
/// If the shapes do not fit, a row has no keys, or the probability is not in [0, 1).
pub fn cross_attention(
    query: Tensor<3>,
    keys_and_values: Tensor<3>,
    bias: Option<Tensor<4>>,
    seen: &SeenKeys,
    heads: AttentionHeads,
    scale: f64,
    dropout: Option<(f64, Draw)>,
) -> Tensor<3> {
    let ([rows, queries, columns], [others, keys, packed]) = (query.dims(), keys_and_values.dims());
    heads.check();
    assert!(queries > 0, "attention needs at least one query");
    assert_eq!(rows, others, "keys of {others} rows do not fit queries of {rows}");
    assert_eq!(columns, heads.output_columns(), "queries must have the columns of {heads:?}");
    assert_eq!(packed, 2 * heads.key_values * heads.width, "keys and values must have the columns of {heads:?}");
    seen.check(rows, keys);
    if let Some(bias) = &bias {
        let [of_rows, of_heads, height, width] = bias.dims();
        let fits = (of_rows == 1 || of_rows == rows) && [of_heads, height, width] == [heads.queries, queries, keys];
        assert!(fits, "a bias of {:?} does not fit {rows} rows of {queries} queries and {keys} keys", bias.dims());
    }
    let dropout = dropout.filter(|(probability, _)| *probability > 0.0);
    assert!(dropout.is_none_or(|(probability, _)| probability < 1.0), "a probability of dropout is in [0, 1)");
    let scoring = Scoring { heads, scale, dropout };
    if precision_on_cpu(&query) == MatrixPrecision::Mixed || !has_fast_body(&query) {
        return reference::cross_attention(query, keys_and_values, bias, seen, heads, scale, dropout);
    }
    let (query, keys_and_values) = (query.into_dispatch(), keys_and_values.into_dispatch());
    Tensor::from_dispatch(Dispatch::cross_attention(query, keys_and_values, optional(bias), seen, scoring))
}

impl<B: CrossAttentionOps + CrossAttentionGradients, C: CheckpointStrategy> CrossAttentionOps for Autodiff<B, C> {
    fn cross_attention(
        query: FloatTensor<Self>,
        keys_and_values: FloatTensor<Self>,
        bias: Optional<Self>,
        seen: &SeenKeys,
        scoring: Scoring,
    ) -> FloatTensor<Self> {
        let bias = bias.into_option();
        let (inputs, of_bias) = ([query.node(), keys_and_values.node()], bias.as_ref().map(|bias| bias.node()));
        let (query, keys_and_values) = (query.into_primitive(), keys_and_values.into_primitive());
        let bias = bias.map(|bias| bias.into_primitive());
        let (output, logarithms) =
            B::cross_attention_keeping(query.clone(), keys_and_values.clone(), bias.clone(), seen, scoring);
        let (seen, kept_output) = (seen.clone(), output.clone());
        let kept = Kept::<B> { query, keys_and_values, bias, output: kept_output, logarithms, seen, scoring };
        match of_bias {
            Some(bias) => {
                let [query, keys_and_values] = inputs;
                record::<B, C, _, 3>([query, keys_and_values, bias], output, kept, |kept, gradient, _| {
                    B::cross_attention_backward(kept, gradient)
                })
            }
            None => record::<B, C, _, 2>(inputs, output, kept, |kept, gradient, _| {
                let [query, keys_and_values, _] = B::cross_attention_backward(kept, gradient);
                [query, keys_and_values]
            }),
        }
    }
}
