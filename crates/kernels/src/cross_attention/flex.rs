//! Between Burn's CPU tensors and the kernels.

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;

use super::cpu::{Inputs, Sizes, cross_attention};
use super::cpu_backward::{Found, Written, cross_attention_backward};
use super::{CrossAttentionGradients, CrossAttentionOps, Kept, Scoring, SeenKeys};
use crate::affine::Optional;
use crate::cpu::philox::Dropout;
use crate::flex::{Number, contiguous, numbers, sizes, tensor, with_number};

impl CrossAttentionOps for Flex {
    fn cross_attention(
        query: FloatTensor<Self>,
        keys_and_values: FloatTensor<Self>,
        bias: Optional<Self>,
        seen: &SeenKeys,
        scoring: Scoring,
    ) -> FloatTensor<Self> {
        Self::cross_attention_keeping(query, keys_and_values, bias.into_option(), seen, scoring).0
    }
}

impl CrossAttentionGradients for Flex {
    fn cross_attention_keeping(
        query: FloatTensor<Self>,
        keys_and_values: FloatTensor<Self>,
        bias: Option<FloatTensor<Self>>,
        seen: &SeenKeys,
        scoring: Scoring,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        with_number!(query, T => forward::<T>([query, keys_and_values], bias, seen, scoring))
    }

    fn cross_attention_backward(kept: Kept<Self>, gradient: FloatTensor<Self>) -> [Option<FloatTensor<Self>>; 3] {
        with_number!(gradient, T => backward::<T>(kept, gradient))
    }
}

fn sizes_of<'a>(query: &FlexTensor, keys_and_values: &FlexTensor, seen: &'a SeenKeys, scoring: Scoring) -> Sizes<'a> {
    let ([_, queries, _], [_, keys, _]) = (sizes(query), sizes(keys_and_values));
    let Scoring { heads, scale, dropout } = scoring;
    let dropout = dropout.map(|(probability, draw)| Dropout::new(probability, draw.seed, draw.site));
    Sizes { queries, keys, heads, seen, scale, dropout }
}

fn forward<T: Number>(
    tensors: [FlexTensor; 2],
    bias: Option<FlexTensor>,
    seen: &SeenKeys,
    scoring: Scoring,
) -> (FlexTensor, FlexTensor) {
    let ([query, keys_and_values], bias) = (tensors.map(contiguous), bias.map(contiguous));
    let all = sizes_of(&query, &keys_and_values, seen, scoring);
    let inputs = Inputs {
        query: numbers::<T>(&query),
        keys_and_values: numbers(&keys_and_values),
        bias: bias.as_ref().map(numbers).unwrap_or_default(),
    };
    let (rows, heads) = (all.rows(), scoring.heads);
    let mut output = vec![T::ZERO; inputs.query.len()];
    let mut logs = vec![T::ZERO; rows * heads.queries * all.queries];
    cross_attention(&inputs, &all, &mut output, &mut logs);
    (tensor(output, [rows, all.queries, heads.output_columns()]), tensor(logs, [rows, heads.queries, all.queries]))
}

fn backward<T: Number>(kept: Kept<Flex>, gradient: FlexTensor) -> [Option<FlexTensor>; 3] {
    let Kept { query, keys_and_values, bias, output, logarithms, seen, scoring } = kept;
    let [query, keys_and_values, gradient] = [query, keys_and_values, gradient].map(contiguous);
    let bias = bias.map(contiguous);
    let all = sizes_of(&query, &keys_and_values, &seen, scoring);
    let inputs = Inputs {
        query: numbers::<T>(&query),
        keys_and_values: numbers(&keys_and_values),
        bias: bias.as_ref().map(numbers).unwrap_or_default(),
    };
    let written = Written { output: numbers(&output), logs: numbers(&logarithms), gradient: numbers::<T>(&gradient) };
    let mut of_query = vec![T::ZERO; inputs.query.len()];
    let mut of_keys = vec![T::ZERO; inputs.keys_and_values.len()];
    let [_, _, weights] = all.row_lengths();
    let mut of_bias = vec![T::ZERO; if bias.is_some() { all.rows() * weights } else { 0 }];
    let found = Found { query: &mut of_query, keys_and_values: &mut of_keys, bias: &mut of_bias };
    cross_attention_backward(&inputs, &written, &all, found);
    let of_bias = bias.as_ref().map(|bias| tensor(summed(of_bias, inputs.bias.len()), sizes::<4>(bias)));
    let of_query = tensor(of_query, sizes::<3>(&query));
    [Some(of_query), Some(tensor(of_keys, sizes::<3>(&keys_and_values))), of_bias]
}

/// Parts of `length` numbers added up, in their order.
fn summed<T: Number>(mut parts: Vec<T>, length: usize) -> Vec<T> {
    let others = parts.split_off(length.min(parts.len()));
    for part in others.chunks(length.max(1)) {
        parts.iter_mut().zip(part).for_each(|(sum, number)| *sum += *number);
    }
    parts
}
