//! Between Burn's CPU tensors and the bodies.

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::{FloatTensor, IntTensor};

use super::{EmbeddingGradients, EmbeddingOps, cpu};
use crate::flex::{Number, contiguous, indices, numbers, sizes, tensor, with_number};

impl EmbeddingOps for Flex {
    fn look_up(weight: FloatTensor<Self>, indices: IntTensor<Self>) -> FloatTensor<Self> {
        with_number!(weight, T => look_up::<T>(weight, &indices))
    }
}

impl EmbeddingGradients for Flex {
    fn look_up_backward(indices: IntTensor<Self>, gradient: FloatTensor<Self>, rows: usize) -> FloatTensor<Self> {
        with_number!(gradient, T => look_up_backward::<T>(&indices, gradient, rows))
    }
}

fn look_up<T: Number>(weight: FlexTensor, rows: &FlexTensor) -> FlexTensor {
    let weight = contiguous(weight);
    let ([height, width], [outer, inner]) = (sizes(&weight), sizes(rows));
    let rows = indices(rows, height, "index");
    let mut output = vec![T::ZERO; rows.len() * width];
    cpu::look_up(numbers(&weight), width, &rows, &mut output);
    tensor(output, [outer, inner, width])
}

fn look_up_backward<T: Number>(rows: &FlexTensor, gradient: FlexTensor, height: usize) -> FlexTensor {
    let gradient = contiguous(gradient);
    let [_, _, width] = sizes(&gradient);
    let rows = indices(rows, height, "index");
    let mut table = vec![T::ZERO; height * width];
    cpu::add_up(numbers(&gradient), &rows, [height, width], &mut table);
    tensor(table, [height, width])
}
