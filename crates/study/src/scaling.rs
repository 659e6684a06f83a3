//! How the loss falls with the size of a model: loss = E + A N^-a (Kaplan et al. 2020,
//! <https://arxiv.org/abs/2001.08361>; with E, Hoffmann et al. 2022, <https://arxiv.org/abs/2203.15556>).

use burn::tensor::Device;
use kiln_convergence::Band;
use kiln_data::shards::PreparedData;
use kiln_models::ModelConfig;
use kiln_parameters::Role;
use nalgebra::{Matrix3, Vector3};

use crate::config::{NamedModel, ScalingConfig, Study};
use crate::error::StudyError;
use crate::sizes::sized;
use crate::statistics::student_95;
use crate::studies::Progress;
use crate::trained::{Training, validation_loss};

/// Exponents that are tried first.
const TRIED: i32 = 400;
const EXPONENTS: (f64, f64) = (0.01, 4.0);

/// A model at all sizes.
#[derive(Debug, Clone)]
pub struct ScalingFindings {
    /// Its name.
    pub name: String,
    /// Parameters without embeddings and head, and the loss there, nats per character.
    pub points: Vec<(u64, Band)>,
    /// The law through the losses of all repeats; nothing where none fits better than a constant.
    pub law: Option<Law>,
    /// What the loss can't fall below, where the entropy of the text is known, nats per character.
    pub floor: Option<f64>,
}

/// loss = E + A N^-a.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Law {
    /// E, which no size gets below.
    pub floor: Band,
    /// A.
    pub scale: Band,
    /// a.
    pub exponent: Band,
}

impl Law {
    /// The least-squares fit to (N, loss), with the 95 % intervals of its linearisation, from the scatter around it.
    /// Nothing with fewer than four points, or where the best exponent is at the end of what is tried.
    pub fn through(points: &[(f64, f64)]) -> Option<Self> {
        if points.len() < 4 {
            return None;
        }
        // For a given exponent the fit is linear. N is taken relative to the geometric mean, so that A is no astronomic
        // number while it is looked for.
        let middle = points.iter().map(|(size, _)| size.ln()).sum::<f64>() / points.len() as f64;
        let misfit = |exponent: f64| linear(points, middle, exponent).2;
        let at = |step: i32| {
            (EXPONENTS.0.ln() + (EXPONENTS.1 / EXPONENTS.0).ln() * f64::from(step) / f64::from(TRIED)).exp()
        };
        let best = (0..=TRIED).min_by(|left, right| misfit(at(*left)).total_cmp(&misfit(at(*right))))?;
        if best == 0 || best == TRIED {
            return None;
        }
        let exponent = lowest(misfit, at(best - 1), at(best + 1));
        let (floor, scale, squares) = linear(points, middle, exponent);
        Self::with_intervals(points, [floor, scale * (exponent * middle).exp(), exponent], squares)
    }

    fn with_intervals(points: &[(f64, f64)], [floor, scale, exponent]: [f64; 3], squares: f64) -> Option<Self> {
        let freedom = points.len() as f64 - 3.0;
        // Columns are scaled, so that the matrix can be inverted.
        let row = |size: f64| {
            let power = size.powf(-exponent);
            Vector3::new(1.0, scale * power, -scale * exponent * power * size.ln())
        };
        let products: Matrix3<f64> = points.iter().map(|(size, _)| row(*size)).map(|row| row * row.transpose()).sum();
        let covariance = products.try_inverse()?;
        let quantile = student_95(freedom);
        let half_width =
            |index: usize, unit: f64| quantile * (covariance[(index, index)] * squares / freedom).sqrt() * unit;
        Some(Self {
            floor: Band { mean: floor, half_width: half_width(0, 1.0) },
            scale: Band { mean: scale, half_width: half_width(1, scale.abs()) },
            exponent: Band { mean: exponent, half_width: half_width(2, exponent) },
        })
    }

    /// The loss at a size.
    pub fn at(&self, size: f64) -> f64 {
        self.floor.mean + self.scale.mean * size.powf(-self.exponent.mean)
    }
}

/// The least-squares E and A, and the sum of squares that is left.
fn linear(points: &[(f64, f64)], middle: f64, exponent: f64) -> (f64, f64, f64) {
    let n = points.len() as f64;
    let power = |size: f64| (-exponent * (size.ln() - middle)).exp();
    let mean_x = points.iter().map(|(size, _)| power(*size)).sum::<f64>() / n;
    let mean_y = points.iter().map(|(_, loss)| loss).sum::<f64>() / n;
    let spread: f64 = points.iter().map(|(size, _)| (power(*size) - mean_x).powi(2)).sum();
    let products: f64 = points.iter().map(|(size, loss)| (power(*size) - mean_x) * (loss - mean_y)).sum();
    let slope = products / spread;
    let floor = mean_y - slope * mean_x;
    let squares = points.iter().map(|(size, loss)| (loss - floor - slope * power(*size)).powi(2)).sum();
    (floor, slope, squares)
}

/// Where a function with one minimum between two places has it, by golden sections.
fn lowest(of: impl Fn(f64) -> f64, mut low: f64, mut high: f64) -> f64 {
    let golden = (5.0_f64.sqrt() - 1.0) / 2.0;
    for _ in 0..100 {
        let (left, right) = (high - golden * (high - low), low + golden * (high - low));
        if of(left) < of(right) {
            high = right;
        } else {
            low = left;
        }
    }
    (low + high) / 2.0
}

/// Parameters without embeddings and head.
fn inner(study: &Study, model: &ModelConfig, text: &PreparedData) -> u64 {
    let is_outside = |role: Role| matches!(role, Role::Embedding | Role::Head);
    let parts = model.parameters(text.tokenizer.vocabulary_size(), study.run.context);
    let roles = parts.iter().flat_map(|part| &part.roles);
    roles.filter(|(role, _)| !is_outside(*role)).map(|(_, count)| count).sum()
}

/// The study of a file.
pub(crate) fn study(
    study: &Study,
    config: &ScalingConfig,
    text: &PreparedData,
    device: &Device,
    progress: &mut dyn FnMut(f64) -> bool,
) -> Result<Vec<ScalingFindings>, StudyError> {
    let mut progress = Progress::new(study.models.len() * config.parameters.len() * study.seeds, progress);
    let mut findings = Vec::new();
    for model in &study.models {
        let (mut points, mut all) = (Vec::new(), Vec::new());
        for &wanted in &config.parameters {
            let solved = sized(model, wanted, |model| inner(study, model, text))?;
            let size = inner(study, &solved, text);
            let solved = NamedModel { name: model.name.clone(), model: solved };
            let mut losses = Vec::new();
            for repeat in 0..study.seeds {
                let training = Training::new(study, &solved, repeat, study.run.steps, text, device)?;
                let trained = training.finished(&mut progress)?;
                losses.push(validation_loss(study, &trained, text)?[1]);
            }
            all.extend(losses.iter().map(|loss| (size as f64, *loss)));
            points.push((size, Band::of_95(&losses)));
        }
        let floor = text.floor.map(|floor| floor.validation_nats_per_character);
        findings.push(ScalingFindings { name: model.name.clone(), points, law: Law::through(&all), floor });
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// SciPy's numbers, made by `scripts/reference/study.py`.
    const FIXTURE: &str = include_str!("../fixtures/statistics.json");

    #[test]
    fn the_law_and_its_intervals_are_those_of_scipy() {
        let fixture: Value = serde_json::from_str(FIXTURE).unwrap();
        let numbers = |value: &Value| value.as_array().unwrap().iter().filter_map(Value::as_f64).collect::<Vec<f64>>();
        for case in fixture["scaling"].as_array().unwrap() {
            let points: Vec<(f64, f64)> = numbers(&case["sizes"]).into_iter().zip(numbers(&case["losses"])).collect();
            let law = Law::through(&points).expect("there is one");
            let half_widths = numbers(&case["half_widths"]);
            for ((found, key), half_width) in
                [(law.floor, "floor"), (law.scale, "scale"), (law.exponent, "exponent")].into_iter().zip(half_widths)
            {
                let expected = case[key].as_f64().unwrap();
                assert!((found.mean / expected - 1.0).abs() < 1e-4, "{key}: {found:?}, {expected}");
                assert!((found.half_width / half_width - 1.0).abs() < 1e-3, "{key}: {found:?}, {half_width}");
            }
        }
    }

    #[test]
    fn an_exact_law_is_found_exactly_and_none_where_there_is_none() {
        let points: Vec<(f64, f64)> =
            [1e3, 4e3, 2e4, 1e5, 3e5].iter().map(|size: &f64| (*size, 0.14 + 12.0 * size.powf(-0.45))).collect();
        let law = Law::through(&points).expect("there is one");
        assert!((law.floor.mean - 0.14).abs() < 1e-6 && (law.exponent.mean - 0.45).abs() < 1e-6, "{law:?}");
        assert!((law.at(7e4) - 0.14 - 12.0 * 7e4_f64.powf(-0.45)).abs() < 1e-6);
        assert_eq!(Law::through(&points[..3]), None);
        // A straight fall in ln N has no floor.
        let straight: Vec<(f64, f64)> = points.iter().map(|(size, _)| (*size, 20.0 - size.ln())).collect();
        assert_eq!(Law::through(&straight), None);
    }
}
