//! The CPU body: the random numbers are drawn again in the backward pass, so that no mask is kept.

use super::Places;
use crate::cpu::philox::Dropout;
use crate::cpu::{Real, Rows, for_rows, simd};

/// Each number times its factor: 0, or 1 / (1 - probability).
pub(super) fn drop_out<T: Real>(x: &[T], dropout: Dropout, places: Places) -> Vec<T> {
    let Places { width, rows: of_matrix } = places;
    // In whole rows, so that every thread begins with one.
    let rows = x.len().div_ceil(width);
    let mut output = vec![T::ZERO; rows * width];
    for_rows(rows, 4 * width, Rows::new(&mut output, width), |range, part| {
        let mut factors = vec![T::ZERO; width];
        simd(
            #[inline(always)]
            || {
                for (y, row) in part.data.chunks_exact_mut(width).zip(range) {
                    dropout.fill([row % of_matrix, row / of_matrix].map(|index| index as u32), 0, &mut factors);
                    let x = &x[row * width..x.len().min((row + 1) * width)];
                    for ((y, x), factor) in y.iter_mut().zip(x).zip(&factors) {
                        *y = *x * *factor;
                    }
                }
            },
        );
    });
    output.truncate(x.len());
    output
}
