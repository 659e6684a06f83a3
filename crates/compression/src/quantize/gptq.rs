//! GPTQ (Frantar, Ashkboos, Hoefler, Alistarh 2023, <https://arxiv.org/abs/2210.17323>).

use kiln_models::InputSums;
use kiln_packed::{Format, Grid, PackedMatrix};
use rayon::iter::ParallelIterator;
use rayon::slice::ParallelSlice;

use super::factor::inverse_factor;
use super::rounding::{joined, rounded};
use crate::error::CompressionError;

/// Rows that go through the factor together: it is larger than a cache.
const ROWS: usize = 16;

/// Rows of `inputs` numbers packed so that their outputs change as little as can be.
///
/// With H the sums of products of inputs and H^-1 = U^T U, each number w_i of a row, those of the largest inputs first,
/// becomes the nearest q_i of its format, and the numbers after it make up for the error:
///
/// ```text
/// e = (w_i - q_i) / U_ii      w_j -= e U_ij   for j > i
/// ```
///
/// Scales are chosen before, by importance, so that any order will do. Where H cannot be inverted, importance alone
/// decides.
pub(super) fn packed(
    format: Format,
    inputs: usize,
    numbers: &[f32],
    seen: &InputSums,
) -> Result<PackedMatrix, CompressionError> {
    let mut order: Vec<usize> = (0..inputs).collect();
    order.sort_by(|left, right| seen.squares[*right].total_cmp(&seen.squares[*left]));
    let Some(upper) = inverse_factor(&seen.products, &order) else {
        return rounded(format, inputs, numbers, Some(&seen.squares));
    };
    let job = Job { format, order: &order, upper: &upper, importance: &seen.squares };
    let parts: Result<Vec<Vec<u8>>, CompressionError> =
        numbers.par_chunks(inputs * ROWS).map(|rows| job.rows(rows)).collect();
    joined(format, inputs, &parts?.concat())
}

struct Job<'a> {
    format: Format,
    /// The inputs in the order in which they are rounded.
    order: &'a [usize],
    upper: &'a [f32],
    importance: &'a [f32],
}

impl Job<'_> {
    /// The blocks of some rows.
    fn rows(&self, numbers: &[f32]) -> Result<Vec<u8>, CompressionError> {
        let inputs = self.order.len();
        let grids: Result<Vec<Grid>, _> =
            numbers.chunks(inputs).map(|row| Grid::fit(self.format, row, Some(self.importance))).collect();
        let grids = grids?;
        let in_order = |row: &[f32]| self.order.iter().map(|input| row[*input]).collect::<Vec<f32>>();
        let mut left: Vec<Vec<f32>> = numbers.chunks(inputs).map(in_order).collect();
        let mut codes = vec![vec![0; inputs]; grids.len()];
        for (place, input) in self.order.iter().enumerate() {
            let factors = &self.upper[place * inputs + place..(place + 1) * inputs];
            for ((left, grid), codes) in left.iter_mut().zip(&grids).zip(&mut codes) {
                let code = grid.nearest(*input, left[place]);
                codes[*input] = code;
                let error = (left[place] - grid.value(*input, code)) / factors[0];
                for (number, factor) in left[place..].iter_mut().zip(factors) {
                    *number -= error * factor;
                }
            }
        }
        let mut bytes = Vec::new();
        grids.iter().zip(&codes).for_each(|(grid, codes)| grid.write(codes, &mut bytes));
        Ok(bytes)
    }
}
