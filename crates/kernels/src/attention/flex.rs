//! Between Burn's CPU tensors and the kernels.

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;

use super::cached_cpu::{self, Plain};
use super::cpu::attention;
use super::cpu_backward::{AttentionResult, attention_backward};
use super::geometry::{AttentionHeads, AttentionOptions, AttentionScores, AttentionSizes, CacheSizes};
use super::reference::WeightDropout;
use super::{AttentionGradients, AttentionKept, AttentionOps, CachedAttentionOps};
use crate::cpu::philox::Dropout;
use crate::flex::{Number, contiguous, numbers, sizes, tensor, with_number};

impl AttentionOps for Flex {
    fn causal_attention(
        packed: FloatTensor<Self>,
        heads: AttentionHeads,
        scores: AttentionScores,
        dropout: WeightDropout,
    ) -> FloatTensor<Self> {
        Self::causal_attention_keeping(packed, heads, scores, dropout).0
    }
}

impl AttentionGradients for Flex {
    fn causal_attention_keeping(
        packed: FloatTensor<Self>,
        heads: AttentionHeads,
        scores: AttentionScores,
        dropout: WeightDropout,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        with_number!(packed, T => forward::<T>(packed, heads, scores, dropout))
    }

    fn causal_attention_backward(
        packed: FloatTensor<Self>,
        output: FloatTensor<Self>,
        logarithms: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        heads: AttentionHeads,
        scores: AttentionScores,
        dropout: WeightDropout,
    ) -> FloatTensor<Self> {
        let kept = AttentionKept::<Self> { packed, output, logarithms, heads, scores, dropout };
        with_number!(gradient, T => backward::<T>(kept, gradient))
    }
}

impl CachedAttentionOps for Flex {
    fn cached_attention(
        query: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        values: FloatTensor<Self>,
        starts: &[usize],
        scores: AttentionScores,
    ) -> FloatTensor<Self> {
        with_number!(query, T => cached::<T>([query, keys, values], starts, scores))
    }
}

fn sizes_of(packed: &FlexTensor, heads: AttentionHeads) -> AttentionSizes {
    let [batch, steps, _] = sizes(packed);
    AttentionSizes { batch, steps, heads }
}

fn options(scores: AttentionScores, dropout: WeightDropout) -> AttentionOptions {
    let dropout = dropout.map(|(probability, draw)| Dropout::new(probability, draw.seed, draw.site));
    AttentionOptions { scores, dropout }
}

fn forward<T: Number>(
    packed: FlexTensor,
    heads: AttentionHeads,
    scores: AttentionScores,
    dropout: WeightDropout,
) -> (FlexTensor, FlexTensor) {
    let packed = contiguous(packed);
    let shape = sizes_of(&packed, heads);
    let AttentionSizes { batch, steps, .. } = shape;
    let mut output = vec![T::ZERO; batch * steps * heads.output_columns()];
    let mut logarithms = vec![T::ZERO; batch * heads.queries * steps];
    attention(numbers::<T>(&packed), &shape, &options(scores, dropout), &mut output, &mut logarithms);
    (tensor(output, [batch, steps, heads.output_columns()]), tensor(logarithms, [batch, heads.queries, steps]))
}

fn backward<T: Number>(kept: AttentionKept<Flex>, gradient: FlexTensor) -> FlexTensor {
    let AttentionKept { packed, output, logarithms, heads, scores, dropout } = kept;
    let [packed, gradient] = [packed, gradient].map(contiguous);
    let shape = sizes_of(&packed, heads);
    let result = AttentionResult::<T> {
        packed: numbers(&packed),
        output: numbers(&output),
        log_sum_exp: numbers(&logarithms),
        output_gradient: numbers(&gradient),
    };
    let mut found = vec![T::ZERO; result.packed.len()];
    attention_backward(&result, &shape, &options(scores, dropout), &mut found);
    tensor(found, sizes::<3>(&packed))
}

fn cached<T: Number>(tensors: [FlexTensor; 3], starts: &[usize], scores: AttentionScores) -> FlexTensor {
    let [query, keys, values] = tensors.map(contiguous);
    let ([rows, steps, columns], [_, key_values, capacity, width]) = (sizes(&query), sizes(&keys));
    let heads = AttentionHeads { queries: columns / width, key_values, width };
    let shape = CacheSizes { steps, starts, capacity, heads };
    let mut output = vec![T::ZERO; rows * steps * columns];
    let cache = [&keys, &values].map(|vectors| Plain(numbers::<T>(vectors), width));
    cached_cpu::cached_attention(numbers(&query), cache, &shape, scores, &mut output);
    tensor(output, [rows, steps, columns])
}
