//! The CPU body.

use std::ops::Range;

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::{FloatTensor, IntTensor};

use super::{EmbeddingGradients, EmbeddingOps};
use crate::cpu::parallel::{Split, for_tasks, parts};
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

/// Each task has some rows of the table, goes through all indices and adds up what belongs to its own: no two threads
/// write the same row, and every row's terms are added in the order of the tokens.
fn look_up_backward<T: Number>(rows: &FlexTensor, gradient: FlexTensor, height: usize) -> FlexTensor {
    let gradient = contiguous(gradient);
    let [_, _, width] = sizes(&gradient);
    let (slopes, rows) = (numbers::<T>(&gradient), indices(rows, height, "index"));
    let mut output = vec![T::ZERO; height * width];
    let tasks = balanced(&rows, Rows::new(&mut output, width), height, parts(rows.len(), 2 * width));
    for_tasks(tasks, rows.len() * 2 * width, |(range, part)| {
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

/// Cuts a table into at most `parts` ranges of rows that about as many of the `indices` name: in a table of characters, a
/// few rows stand for most of the text.
fn balanced<'a, T: Number>(
    indices: &[u32],
    mut table: Rows<'a, T>,
    height: usize,
    parts: usize,
) -> Vec<(Range<usize>, Rows<'a, T>)> {
    let mut counts = vec![0; height];
    indices.iter().for_each(|index| counts[*index as usize] += 1);
    let (mut tasks, mut start, mut seen) = (Vec::with_capacity(parts), 0, 0);
    for (row, count) in counts.into_iter().enumerate() {
        seen += count;
        let is_full = tasks.len() + 1 < parts && seen * parts >= indices.len() * (tasks.len() + 1);
        if is_full || row + 1 == height {
            let (part, others) = table.split(row + 1 - start);
            tasks.push((start..row + 1, part));
            (table, start) = (others, row + 1);
        }
    }
    tasks
}
