//! The CPU body: the random numbers are drawn again in the backward pass, so that no mask is kept.

use crate::cpu::philox::Dropout;
use crate::cpu::{Real, Rows, for_rows, simd};

/// How many neighbouring numbers share a row of random numbers.
const ROW: usize = 1024;

/// Each number times its factor: 0, or 1 / (1 - probability).
pub(super) fn drop_out<T: Real>(x: &[T], dropout: Dropout) -> Vec<T> {
    // In whole rows, so that every thread begins with one.
    let rows = x.len().div_ceil(ROW);
    let mut output = vec![T::ZERO; rows * ROW];
    for_rows(rows, 4 * ROW, Rows::new(&mut output, ROW), |range, part| {
        let mut factors = vec![T::ZERO; ROW];
        simd(
            #[inline(always)]
            || {
                for (y, row) in part.data.chunks_exact_mut(ROW).zip(range) {
                    dropout.fill([row as u32, 0], 0, &mut factors);
                    let x = &x[row * ROW..x.len().min((row + 1) * ROW)];
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
