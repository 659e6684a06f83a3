//! Single numbers that become 0.

use std::collections::BTreeMap;

use kiln_models::{InputSums, LanguageModel, Matrix, Sums};

use super::config::{Across, PruneConfig, Score};
use crate::calibration::Calibration;
use crate::error::CompressionError;

/// Makes numbers in the matrices of the layers 0, and says which share of each is.
pub(super) fn make_zeros(
    model: &mut LanguageModel,
    config: &PruneConfig,
    calibration: &Calibration,
) -> Result<Vec<(String, f64)>, CompressionError> {
    let seen = match config.score {
        Score::Magnitude => BTreeMap::new(),
        Score::Wanda => calibration.observe(model, Sums::Squares)?,
    };
    let threshold = (config.across == Across::Model && config.pattern.is_none())
        .then(|| threshold_of(model, config.sparsity, &seen));
    let mut shares = Vec::new();
    for mut matrix in of_layers(model) {
        let mut numbers = matrix.rows();
        let [_, inputs] = matrix.sizes();
        let scores = scores(&numbers, inputs, seen.get(&matrix.name));
        match (config.pattern(), config.across, threshold) {
            (Some([kept, group]), ..) => {
                if !inputs.is_multiple_of(group) {
                    return Err(CompressionError::Group { part: matrix.name.clone(), inputs, group });
                }
                for start in (0..numbers.len()).step_by(group) {
                    least_to_zero(&mut numbers[start..start + group], &scores[start..start + group], group - kept);
                }
            }
            (None, _, Some(threshold)) => {
                numbers.iter_mut().zip(&scores).filter(|(_, score)| **score <= threshold).for_each(|(it, _)| *it = 0.0);
            }
            (None, across, None) => {
                let length = if across == Across::Row { inputs } else { numbers.len() };
                let count = (length as f64 * config.sparsity).round() as usize;
                for (numbers, scores) in numbers.chunks_mut(length).zip(scores.chunks(length)) {
                    least_to_zero(numbers, scores, count);
                }
            }
        }
        let zeros = numbers.iter().filter(|number| **number == 0.0).count();
        shares.push((matrix.name.clone(), zeros as f64 / numbers.len() as f64));
        matrix.set_rows(numbers);
    }
    Ok(shares)
}

/// The matrices of the layers: neither the table nor the head.
fn of_layers(model: &mut LanguageModel) -> impl Iterator<Item = Matrix<'_>> {
    model.matrices().into_iter().filter(|matrix| !matrix.is_table() && matrix.name != "output.weight")
}

/// |W_ij|, times the root of the mean of x_j^2 if that was seen.
fn scores(numbers: &[f32], inputs: usize, seen: Option<&InputSums>) -> Vec<f32> {
    let norm = |square: &f32| (f64::from(*square) / seen.map_or(1, |seen| seen.tokens.max(1)) as f64).sqrt() as f32;
    let norms: Vec<f32> = match seen {
        Some(seen) => seen.squares.iter().map(norm).collect(),
        None => vec![1.0; inputs],
    };
    numbers.iter().enumerate().map(|(index, number)| number.abs() * norms[index % inputs]).collect()
}

/// Makes the `count` numbers of the least scores 0.
fn least_to_zero(numbers: &mut [f32], scores: &[f32], count: usize) {
    let mut order: Vec<usize> = (0..numbers.len()).collect();
    if count == 0 || count > order.len() {
        return;
    }
    order.select_nth_unstable_by(count - 1, |left, right| scores[*left].total_cmp(&scores[*right]));
    order[..count].iter().for_each(|index| numbers[*index] = 0.0);
}

/// The score that a share of all numbers of the layers is not above.
fn threshold_of(model: &mut LanguageModel, share: f64, seen: &BTreeMap<String, InputSums>) -> f32 {
    let mut all: Vec<f32> = Vec::new();
    for matrix in of_layers(model) {
        let [_, inputs] = matrix.sizes();
        all.extend(scores(&matrix.rows(), inputs, seen.get(&matrix.name)));
    }
    let count = (all.len() as f64 * share).round() as usize;
    if count == 0 {
        return -1.0;
    }
    *all.select_nth_unstable_by(count - 1, f32::total_cmp).1
}
