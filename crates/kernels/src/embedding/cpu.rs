//! The CPU bodies.

use std::ops::Range;

use crate::cpu::parallel::{Split, for_tasks, parts};
use crate::cpu::{Real, Rows, for_rows, simd};

/// Copies the rows of `table` `[V, width]` that `indices` name.
pub(super) fn look_up<T: Real>(table: &[T], width: usize, indices: &[u32], output: &mut [T]) {
    for_rows(indices.len(), width, Rows::new(output, width), |range, part| {
        for (row, index) in part.data.chunks_exact_mut(width.max(1)).zip(&indices[range]) {
            row.copy_from_slice(&table[*index as usize * width..][..width]);
        }
    });
}

/// Adds the rows of `slopes` `[indices, width]` to those of `table` `[height, width]` that `indices` name.
///
/// Each task has some rows of the table, goes through all indices and adds up what belongs to its own: no two threads
/// write the same row, and every row's terms are added in the order of the tokens.
pub(super) fn add_up<T: Real>(slopes: &[T], indices: &[u32], [height, width]: [usize; 2], table: &mut [T]) {
    let tasks = balanced(indices, Rows::new(table, width), height, parts(indices.len(), 2 * width));
    for_tasks(tasks, indices.len() * 2 * width, |(range, part)| {
        simd(
            #[inline(always)]
            || {
                for (token, index) in indices.iter().enumerate() {
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
}

/// Cuts a table into at most `parts` ranges of rows that about as many of the `indices` name: in a table of characters,
/// a few rows stand for most of the text.
fn balanced<'a, T: Real>(
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
