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
/// What was pruned stays 0. Scales are chosen before, by importance, so that any order will do. Where H cannot be
/// inverted, importance alone decides.
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
    let job = Job { format, order: &order, upper: &upper, importance: Some(&seen.squares) };
    joined(format, inputs, &job.all(numbers)?)
}

struct Job<'a> {
    format: Format,
    /// The inputs in the order in which they are rounded.
    order: &'a [usize],
    upper: &'a [f32],
    importance: Option<&'a [f32]>,
}

impl Job<'_> {
    fn all(&self, numbers: &[f32]) -> Result<Vec<u8>, CompressionError> {
        let rows = numbers.par_chunks(self.order.len() * ROWS).map(|rows| self.rows(rows));
        Ok(rows.collect::<Result<Vec<_>, _>>()?.concat())
    }

    /// The blocks of some rows.
    fn rows(&self, numbers: &[f32]) -> Result<Vec<u8>, CompressionError> {
        let inputs = self.order.len();
        let grids: Result<Vec<Grid>, _> =
            numbers.chunks(inputs).map(|row| Grid::fit(self.format, row, self.importance)).collect();
        let grids = grids?;
        let in_order = |row: &[f32]| self.order.iter().map(|input| row[*input]).collect::<Vec<f32>>();
        let mut left: Vec<Vec<f32>> = numbers.chunks(inputs).map(in_order).collect();
        let mut codes = vec![vec![0; inputs]; grids.len()];
        for (place, input) in self.order.iter().enumerate() {
            let factors = &self.upper[place * inputs + place..(place + 1) * inputs];
            for (((left, grid), codes), row) in left.iter_mut().zip(&grids).zip(&mut codes).zip(numbers.chunks(inputs))
            {
                let code = grid.nearest(*input, if row[*input] == 0.0 { 0.0 } else { left[place] });
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

#[cfg(test)]
mod tests {
    use kiln_packed::unpack;
    use serde::Deserialize;

    use super::*;

    /// What `scripts/reference/gptq.py` wrote.
    #[derive(Deserialize)]
    struct Reference {
        inputs: usize,
        weights: Vec<f32>,
        products: Vec<f32>,
        codes: Vec<u8>,
        off: f64,
        off_nearest: f64,
    }

    #[test]
    fn whole_numbers_are_those_of_the_paper() {
        let reference: Reference = serde_json::from_str(include_str!("../../fixtures/gptq.json")).unwrap();
        let Reference { inputs, weights, products, codes, off, off_nearest } = reference;
        let squares: Vec<f32> = products.iter().step_by(inputs + 1).copied().collect();
        let mut order: Vec<usize> = (0..inputs).collect();
        order.sort_by(|left, right| squares[*right].total_cmp(&squares[*left]));
        let upper = inverse_factor(&products, &order).unwrap();
        let job = Job { format: Format::Q4_0, order: &order, upper: &upper, importance: None };
        let bytes = job.all(&weights).unwrap();
        let mut expected = Vec::new();
        for (row, codes) in weights.chunks(inputs).zip(codes.chunks(inputs)) {
            Grid::fit(Format::Q4_0, row, None).unwrap().write(codes, &mut expected);
        }
        let same = bytes.iter().zip(&expected).filter(|(found, expected)| found == expected).count();
        // A number that lies in the middle of two may go either way in single precision, and those after it differ.
        assert!(same * 100 >= bytes.len() * 97, "{same} of {} bytes are those of the reference", bytes.len());
        let mut kept = Vec::new();
        unpack(Format::Q4_0, &bytes, &mut kept);
        let error = |row: usize, input: usize| f64::from(weights[row * inputs + input] - kept[row * inputs + input]);
        let rows = weights.len() / inputs;
        let pairs = (0..rows).flat_map(|row| (0..inputs * inputs).map(move |pair| (row, pair / inputs, pair % inputs)));
        let found: f64 =
            pairs.map(|(row, i, j)| error(row, i) * f64::from(products[i * inputs + j]) * error(row, j)).sum();
        assert!((found / off - 1.0).abs() < 0.02, "{found}, and the reference has {off}");
        assert!(found < 0.5 * off_nearest, "{found}, and rounding to the nearest has {off_nearest}");
    }
}
