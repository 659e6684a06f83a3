//! Between Burn's CPU tensors and the kernels.

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::tensor::Tensor;

use super::cached_cpu::{self, CacheSizes};
use super::cpu::{AttentionOptions, AttentionSizes, attention};
use super::cpu_backward::{AttentionResult, attention_backward};
use super::{AttentionGradients, AttentionHeads, AttentionKept, AttentionOps, AttentionScores, WeightDropout};
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

fn sizes_of(packed: &FlexTensor, heads: AttentionHeads) -> AttentionSizes {
    let [batch, steps, _] = sizes(packed);
    let AttentionHeads { queries, key_values, width } = heads;
    AttentionSizes { batch, steps, heads: queries, key_value_heads: key_values, head_width: width }
}

fn options(scores: AttentionScores, dropout: WeightDropout) -> AttentionOptions {
    let dropout = dropout.map(|(probability, draw)| Dropout::new(probability, draw.seed, draw.site));
    AttentionOptions { scale: scores.scale, soft_cap: scores.soft_cap, dropout }
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
    let mut output = vec![T::ZERO; batch * steps * shape.output_columns()];
    let mut logarithms = vec![T::ZERO; batch * heads.queries * steps];
    attention(numbers::<T>(&packed), &shape, &options(scores, dropout), &mut output, &mut logarithms);
    (tensor(output, [batch, steps, shape.output_columns()]), tensor(logarithms, [batch, heads.queries, steps]))
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

/// On tensors without autodiff.
pub(super) fn cached_attention(
    query: Tensor<3>,
    keys: Tensor<4>,
    values: Tensor<4>,
    starts: &[usize],
    scores: AttentionScores,
) -> Tensor<3> {
    let primitive = |tensor: Result<FlexTensor, _>| match tensor {
        Ok(tensor) => contiguous(tensor),
        Err(error) => unreachable!("a CPU tensor was asked for: {error:?}"),
    };
    let query = primitive(query.try_into_primitive::<Flex>());
    let (keys, values) = (primitive(keys.try_into_primitive::<Flex>()), primitive(values.try_into_primitive::<Flex>()));
    let output = with_number!(query, T => run_cached::<T>(&query, &keys, &values, starts, scores));
    Tensor::from_primitive::<Flex>(output)
}

fn run_cached<T: Number>(
    query: &FlexTensor,
    keys: &FlexTensor,
    values: &FlexTensor,
    starts: &[usize],
    scores: AttentionScores,
) -> FlexTensor {
    let ([batch, steps, columns], [_, key_value_heads, capacity, head_width]) = (sizes(query), sizes(keys));
    let shape = CacheSizes {
        steps,
        starts,
        capacity,
        heads: columns / head_width,
        key_value_heads,
        head_width,
        query_columns: columns,
    };
    let mut output = vec![T::ZERO; batch * steps * columns];
    let (query, keys, values) = (numbers::<T>(query), numbers(keys), numbers(values));
    cached_cpu::cached_attention(query, keys, values, &shape, &options(scores, None), &mut output);
    tensor(output, [batch, steps, columns])
}
