//! The CPU body: the random numbers are drawn again in the backward pass, so that no mask is kept.

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;

use super::{Draw, DropoutOps};
use crate::cpu::philox::Dropout;
use crate::cpu::{Rows, for_rows, simd};
use crate::flex::{Number, contiguous, numbers, tensor, with_number};

/// How many neighbouring numbers share a row of random numbers.
const ROW: usize = 1024;

impl DropoutOps for Flex {
    fn drop_out(input: FloatTensor<Self>, probability: f64, draw: Draw) -> FloatTensor<Self> {
        let dropout = Dropout::new(probability, draw.seed, draw.site);
        with_number!(input, T => drop_out::<T>(input, dropout))
    }
}

fn drop_out<T: Number>(input: FlexTensor, dropout: Dropout) -> FlexTensor {
    let input = contiguous(input);
    let x = numbers::<T>(&input);
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
    tensor(output, input.layout().shape().clone())
}
