//! Products with one matrix replaced by products with two thin ones.

use std::collections::BTreeSet;

use burn::tensor::{Device, Tensor, TensorData};
use glob::Pattern;
use kiln_models::{InputSums, LanguageModel, Sums};
use kiln_settings::Violation;
use nalgebra::{Cholesky, DMatrix, SymmetricEigen};
use serde::{Deserialize, Serialize};

use crate::calibration::Calibration;
use crate::error::CompressionError;
use crate::outcome::{RankOutcome, Stage};

/// Ranks are multiples of this where they can be, so that the thin matrices can be packed.
const BLOCK: usize = 32;

/// `[low-rank]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LowRankConfig {
    /// The share of the numbers of each matrix that the two thin ones have together, above 0 and below 1.
    pub share: f64,
    /// Whether outputs are kept on a calibration text, and not for inputs of any kind. Default `true`.
    #[serde(default = "yes")]
    pub calibrated: bool,
    /// Patterns with `*` of the matrices that are factored. Default: all of the layers, but those that recurrent layers
    /// multiply their own states with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<String>,
}

fn yes() -> bool {
    true
}

impl LowRankConfig {
    pub(crate) fn validate(&self) -> Vec<Violation> {
        let mut violations: Vec<Violation> =
            kiln_settings::rules::inside_unit("share", self.share).into_iter().collect();
        for (index, part) in self.parts.iter().enumerate() {
            if let Err(error) = Pattern::new(part) {
                violations.push(Violation::new(format!("parts[{index}]"), format!("is no pattern: {error}")));
            }
        }
        violations
    }

    pub(crate) fn words(&self) -> String {
        let by = if self.calibrated { "on the calibration" } else { "by their singular values alone" };
        format!("factored to {:.0} % of the numbers of each matrix {by}", 100.0 * self.share)
    }

    fn names(&self, model: &mut LanguageModel) -> Result<BTreeSet<String>, CompressionError> {
        let all: Vec<String> = model.products().into_iter().map(|product| product.name).collect();
        if self.parts.is_empty() {
            return Ok(all.into_iter().collect());
        }
        let mut names = BTreeSet::new();
        for pattern in self.parts.iter().filter_map(|part| Pattern::new(part).ok()) {
            let found: Vec<&String> = all.iter().filter(|name| pattern.matches(name)).collect();
            if found.is_empty() {
                let parts = all.iter().take(6).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
                return Err(CompressionError::Pattern { pattern: pattern.as_str().to_owned(), parts });
            }
            names.extend(found.into_iter().cloned());
        }
        Ok(names)
    }
}

/// Factors the products, layer by layer, so that each keeps its outputs on what the layers below it make now.
pub(crate) fn factor(
    model: &mut LanguageModel,
    config: &LowRankConfig,
    calibration: &Calibration,
    proceed: &mut dyn FnMut(Stage<'_>) -> bool,
) -> Result<Vec<RankOutcome>, CompressionError> {
    let names = config.names(model)?;
    if config.calibrated && calibration.is_empty() {
        return Err(CompressionError::NoCalibration { what: "the choice of thin matrices" });
    }
    let mut walk = config.calibrated.then(|| calibration.walk(model));
    let mut outcomes = Vec::new();
    for layer in 0..model.layers() {
        let prefix = model.layer_prefix(layer);
        let own: BTreeSet<String> = names.iter().filter(|name| name.starts_with(&prefix)).cloned().collect();
        let seen = match &walk {
            Some(walk) => walk.observe(model, Some(layer), &own, Sums::Products)?,
            None => Default::default(),
        };
        for mut product in model.products().into_iter().filter(|product| own.contains(&product.name)) {
            if !proceed(Stage { what: "factoring", done: outcomes.len(), all: names.len() }) {
                return Err(CompressionError::Stopped);
            }
            let [outputs, inputs] = product.sizes();
            let rank = rank(outputs, inputs, config.share);
            let rows = product.rows();
            let factors = Factors::of(&rows, [outputs, inputs], rank, seen.get(&product.name))?;
            let (name, relative_error) = (product.name.clone(), factors.relative_error);
            product.factor(rank, factors.narrow, factors.weight);
            outcomes.push(RankOutcome { name, rank, inputs, outputs, relative_error });
        }
        if let Some(walk) = &mut walk {
            walk.go_on(model, layer);
        }
    }
    Ok(outcomes)
}

/// The rank at which two matrices have a share of the numbers of one.
fn rank(outputs: usize, inputs: usize, share: f64) -> usize {
    let rank = (share * (outputs * inputs) as f64 / (outputs + inputs) as f64) as usize;
    let in_blocks = rank / BLOCK * BLOCK;
    (if in_blocks > 0 { in_blocks } else { rank }).clamp(1, outputs.min(inputs))
}

/// Two thin matrices.
struct Factors {
    /// A, `[rank, inputs]`.
    narrow: Vec<f32>,
    /// W, `[outputs, rank]`.
    weight: Vec<f32>,
    relative_error: f64,
}

impl Factors {
    /// The two of this rank whose outputs are nearest to those of `rows`, W_0 by outputs, over inputs whose sums of
    /// products are H: the least of |(W_0 - W A) S|, H = S S^T (Wang et al. 2024, <https://arxiv.org/abs/2403.07378>).
    ///
    /// The singular vectors U of W_0 S are the eigenvectors of W_0 H W_0^T; W = U_r, and A = U_r^T W_0. Where there are
    /// more outputs than inputs they come from those of S^T W_0^T W_0 S, which is smaller.
    fn of(
        rows: &[f32],
        [outputs, inputs]: [usize; 2],
        rank: usize,
        seen: Option<&InputSums>,
    ) -> Result<Self, CompressionError> {
        let device = Device::flex();
        let matrix =
            |numbers: Vec<f32>, sizes: [usize; 2]| Tensor::<2>::from_data(TensorData::new(numbers, sizes), &device);
        let original = matrix(rows.to_vec(), [outputs, inputs]);
        let root = seen.filter(|seen| !seen.products.is_empty()).and_then(|seen| root(&seen.products, inputs));
        let weighted = match root {
            Some(root) => original.clone().matmul(matrix(root, [inputs, inputs])),
            None => original.clone(),
        };
        let is_tall = outputs > inputs;
        let square = if is_tall {
            weighted.clone().transpose().matmul(weighted.clone())
        } else {
            weighted.clone().matmul(weighted.clone().transpose())
        };
        let size = outputs.min(inputs);
        let eigen = SymmetricEigen::new(DMatrix::from_row_slice(size, size, &numbers(square)?));
        let mut order: Vec<usize> = (0..size).collect();
        order.sort_by(|left, right| eigen.eigenvalues[*right].total_cmp(&eigen.eigenvalues[*left]));
        let energy = |kept: &[usize]| kept.iter().map(|index| eigen.eigenvalues[*index].max(0.0)).sum::<f64>();
        let (all, lost) = (energy(&order), energy(&order[rank..]));
        // [size, rank]
        let vectors: Vec<f32> = (0..size)
            .flat_map(|row| order[..rank].iter().map(move |index| (row, *index)))
            .map(|at| eigen.eigenvectors[at] as f32)
            .collect();
        let vectors = matrix(vectors, [size, rank]);
        let left = if is_tall {
            let scales: Vec<f32> = order[..rank]
                .iter()
                .map(|index| 1.0 / eigen.eigenvalues[*index].max(f64::MIN_POSITIVE).sqrt() as f32)
                .collect();
            let scales = scales.into_iter().map(|scale| if scale.is_finite() { scale } else { 0.0 }).collect();
            weighted.matmul(vectors) * matrix(scales, [1, rank])
        } else {
            vectors
        };
        let narrow = left.clone().transpose().matmul(original);
        let floats =
            |tensor: Tensor<2>| Ok::<_, CompressionError>(numbers(tensor)?.iter().map(|it| *it as f32).collect());
        let relative_error = if all > 0.0 { (lost / all).sqrt() } else { 0.0 };
        Ok(Self { narrow: floats(narrow)?, weight: floats(left)?, relative_error })
    }
}

/// S `[n, n]` with S S^T = H, H being damped by a millionth of its diagonal's mean; nothing if it isn't positive.
fn root(products: &[f32], size: usize) -> Option<Vec<f32>> {
    let mean = products.iter().step_by(size + 1).map(|number| f64::from(*number)).sum::<f64>() / size as f64;
    let damped = DMatrix::from_fn(size, size, |row, column| {
        f64::from(products[row * size + column]) + if row == column { 1e-6 * mean } else { 0.0 }
    });
    let lower = Cholesky::new(damped)?.unpack();
    Some((0..size * size).map(|index| lower[(index / size, index % size)] as f32).collect())
}

fn numbers(tensor: Tensor<2>) -> Result<Vec<f64>, CompressionError> {
    let data = tensor.try_into_data().map_err(|error| CompressionError::Device(error.to_string()))?;
    Ok(data.iter::<f64>().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{CONTEXT, calibration, distance, families, logits, model};
    use crate::{CompressConfig, compress};

    /// Rows whose rank is 2, `[outputs, inputs]`.
    fn of_rank_two([outputs, inputs]: [usize; 2]) -> Vec<f32> {
        let number = |index: usize| {
            let (row, column) = ((index / inputs) as f32, (index % inputs) as f32);
            (row * 0.7).sin() * (column * 0.3).cos() + (row * 1.1).cos() * (column * 0.9).sin()
        };
        (0..outputs * inputs).map(number).collect()
    }

    fn product(factors: &Factors, [outputs, inputs]: [usize; 2], rank: usize) -> Vec<f32> {
        let number = |index: usize| {
            let (row, column) = (index / inputs, index % inputs);
            (0..rank).map(|k| factors.weight[row * rank + k] * factors.narrow[k * inputs + column]).sum()
        };
        (0..outputs * inputs).map(number).collect()
    }

    #[test]
    fn a_matrix_of_that_rank_stays_as_it_is() {
        for sizes in [[6, 9], [9, 6]] {
            let rows = of_rank_two(sizes);
            let factors = Factors::of(&rows, sizes, 2, None).unwrap();
            assert!(factors.relative_error < 1e-3, "{}", factors.relative_error);
            for (found, expected) in product(&factors, sizes, 2).iter().zip(&rows) {
                assert!((found - expected).abs() < 1e-4, "{found}, not {expected}");
            }
        }
    }

    #[test]
    fn what_is_lost_is_the_least_singular_value() {
        // Singular values 3 and 1; with inputs ten times as large on the second axis it is the second that counts.
        let rows = [3.0, 0.0, 0.0, 1.0];
        let plain = Factors::of(&rows, [2, 2], 1, None).unwrap();
        assert!((plain.relative_error - 0.1_f64.sqrt()).abs() < 1e-6);
        let kept = product(&plain, [2, 2], 1);
        assert!((kept[0] - 3.0).abs() < 1e-5 && kept[3].abs() < 1e-5);
        let seen = InputSums { tokens: 4, squares: vec![1.0, 100.0], products: vec![1.0, 0.0, 0.0, 100.0] };
        let weighted = Factors::of(&rows, [2, 2], 1, Some(&seen)).unwrap();
        let kept = product(&weighted, [2, 2], 1);
        assert!(kept[0].abs() < 1e-4 && (kept[3] - 1.0).abs() < 1e-4, "{kept:?}");
    }

    #[test]
    fn models_of_every_family_keep_most_of_their_outputs() {
        for config in families() {
            let off = |share: f64, calibrated: bool| {
                let (mut model, mut description) = (model(&config), config.clone());
                let expected = logits(&model);
                let before = model.bytes_of_matrices();
                let low_rank = Some(LowRankConfig { share, calibrated, parts: Vec::new() });
                let config = CompressConfig { low_rank, ..CompressConfig::default() };
                let outcome =
                    compress(&mut model, &mut description, CONTEXT, &config, &calibration(), &mut |_| true).unwrap();
                assert_eq!(outcome.ranks.len(), model.products().len());
                assert!(model.bytes_of_matrices() < before);
                distance(&logits(&model), &expected)
            };
            let (much, little) = (off(0.99, true), off(0.5, true));
            assert!(much < little && little < 1.0, "{}: {much}, {little}", config.name());
        }
    }
}
