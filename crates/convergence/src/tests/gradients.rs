//! Gradients, mini-batches and variances by another way.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::support::{arithmetic, problem};
use crate::Sampling;
use crate::device::numbers;
use crate::problem::{Draws, Problem};

const PROBLEMS: [&str; 5] = [
    "[quadratic]\nspectrum = [0.3, 1.0, 2.0]",
    "[linear-regression]\nl2 = 0.2\ndata.generated = { samples = 12, features = 3 }",
    "[logistic-regression]\nl2 = 0.1\ndata.generated = { samples = 12, features = 3 }",
    "[robust-regression]\ndata.generated = { samples = 12, features = 3 }",
    "[neural-network]\nhidden = 2\ndata.generated = { samples = 12, features = 3 }",
];

/// Two points, far from the minimum.
fn points(problem: &dyn Problem) -> Vec<f64> {
    (0..2 * problem.dimension()).map(|index| 0.7 * (1.3 * index as f64).sin() + 0.2).collect()
}

fn excess(problem: &dyn Problem, weights: &[f64]) -> Vec<f64> {
    let d = problem.dimension();
    numbers(problem.excess(arithmetic().tensor(weights.to_vec(), [weights.len() / d, d]))).unwrap()
}

fn gradient(problem: &dyn Problem, weights: &[f64]) -> Vec<f64> {
    let d = problem.dimension();
    numbers(problem.gradient(arithmetic().tensor(weights.to_vec(), [weights.len() / d, d]))).unwrap()
}

#[test]
fn gradients_are_those_of_finite_differences() {
    for table in PROBLEMS {
        let problem = problem(table).unwrap();
        let (weights, d) = (points(&*problem), problem.dimension());
        let found = gradient(&*problem, &weights);
        for index in 0..weights.len() {
            let moved = |by: f64| {
                let mut weights = weights.clone();
                weights[index] += by;
                excess(&*problem, &weights)[index / d]
            };
            let expected = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            assert!((found[index] - expected).abs() < 1e-8, "{table}, weight {index}: {} not {expected}", found[index]);
        }
    }
}

#[test]
fn mini_batches_are_unbiased_and_their_variance_is_the_one_that_is_told() {
    const REPEATS: usize = 20_000;
    for (table, batch) in PROBLEMS.into_iter().flat_map(|table| [(table, 1), (table, 4)]) {
        let problem = problem(table).unwrap();
        let d = problem.dimension();
        let point = &points(&*problem)[..d];
        let weights = arithmetic().tensor(point.repeat(REPEATS), [REPEATS, d]);
        let mut draws = Draws::new(ChaCha8Rng::seed_from_u64(5), Sampling::WithReplacement);
        let sampled = problem.sampled(weights, batch, &mut draws);
        let (gradients, losses) = (numbers(sampled.gradient).unwrap(), numbers(sampled.loss).unwrap());
        let full = gradient(&*problem, point);
        let deviations = gradients
            .chunks(d)
            .map(|row| row.iter().zip(&full).map(|(sampled, full)| (sampled - full).powi(2)).sum::<f64>());
        let variance = deviations.sum::<f64>() / REPEATS as f64;
        for (feature, full) in full.iter().enumerate() {
            let mean = gradients.chunks(d).map(|row| row[feature]).sum::<f64>() / REPEATS as f64;
            // Five standard errors of a sum over all directions.
            assert!((mean - full).abs() < 5.0 * (variance / REPEATS as f64).sqrt(), "{table}: {mean} not {full}");
        }
        let mean_loss = losses.iter().sum::<f64>() / REPEATS as f64;
        let spread = losses.iter().map(|loss| (loss - mean_loss).powi(2)).sum::<f64>() / REPEATS as f64;
        let loss = excess(&*problem, point)[0];
        assert!((mean_loss - loss).abs() < 5.0 * (spread / REPEATS as f64).sqrt(), "{table}: {mean_loss} not {loss}");
        let told = problem.variance(arithmetic().tensor(point.to_vec(), [1, d])).map(|told| numbers(told).unwrap()[0]);
        if let Some(told) = told {
            assert!(
                (variance * batch as f64 / told - 1.0).abs() < 0.05,
                "{table}, b = {batch}: {variance}, not {told}"
            );
        }
    }
}
