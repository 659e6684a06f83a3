//! The CPU body.

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::{FloatTensor, IntTensor};

use super::{EmbeddingGradients, EmbeddingOps};
use crate::cpu::parallel::parts;
use crate::cpu::{Rows, for_rows, simd};
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
    let (table, rows) = (numbers::<T>(&weight), indices(rows, height, "index"));
    let mut output = vec![T::ZERO; rows.len() * width];
    for_rows(rows.len(), width, Rows::new(&mut output, width), |range, part| {
        for (row, index) in part.data.chunks_exact_mut(width.max(1)).zip(&rows[range]) {
            row.copy_from_slice(&table[*index as usize * width..][..width]);
        }
    });
    tensor(output, [outer, inner, width])
}

/// Each thread has some rows of the table, goes through all indices and adds up what belongs to its own: no two threads
/// write the same row, and every row's terms are added in the order of the tokens.
fn look_up_backward<T: Number>(rows: &FlexTensor, gradient: FlexTensor, height: usize) -> FlexTensor {
    let gradient = contiguous(gradient);
    let [_, _, width] = sizes(&gradient);
    let (slopes, rows) = (numbers::<T>(&gradient), indices(rows, height, "index"));
    let mut output = vec![T::ZERO; height * width];
    // The work is that of the tokens, however many rows the table has.
    let worth = parts(rows.len(), 2 * width);
    let work = if worth > 1 { usize::MAX } else { 0 };
    for_rows(height, work, Rows::new(&mut output, width), |range, part| {
        simd(
            #[inline(always)]
            || {
                for (token, index) in rows.iter().enumerate() {
                    let index = *index as usize;
                    if range.contains(&index) {
                        let sums = &mut part.data[(index - range.start) * width..][..width];
                        let slopes = &slopes[token * width..][..width];
                        sums.iter_mut().zip(slopes).for_each(|(sum, slope)| *sum += *slope);
                    }
                }
            },
        );
    });
    tensor(output, [height, width])
}
