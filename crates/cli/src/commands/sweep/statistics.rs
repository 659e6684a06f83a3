//! Which differences between entrants are more than those between seeds.

use kiln_convergence::Band;

use super::entrants::EntrantResult;
use crate::recorded::Measure;

/// How far an entrant is behind the best one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Behind {
    /// The mean of the differences, seed by seed, with its 95 % interval.
    pub(super) difference: Band,
    /// Whether there are several seeds, so that there is an interval.
    pub(super) has_interval: bool,
}

impl Behind {
    /// The difference of two entrants' final losses. All entrants have the same seeds, so that what a seed does to both
    /// (the order of the data, and first weights where the models are the same) drops out.
    pub(super) fn between(result: &EntrantResult, best: &EntrantResult, measure: Measure) -> Option<Self> {
        let (losses, best) = (result.final_losses(measure)?, best.final_losses(measure)?);
        Self::of(&losses, &best)
    }

    fn of(losses: &[f64], best: &[f64]) -> Option<Self> {
        if losses.len() != best.len() || losses.is_empty() {
            return None;
        }
        let differences: Vec<f64> = losses.iter().zip(best).map(|(loss, best)| loss - best).collect();
        Some(Self { difference: Band::of_95(&differences), has_interval: losses.len() > 1 })
    }

    /// Whether the interval of the difference has 0 in it; nothing where there is no interval.
    pub(super) fn is_noise(&self) -> Option<bool> {
        self.has_interval.then(|| self.difference.mean.abs() <= self.difference.half_width)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// SciPy's numbers, made by `scripts/reference/intervals.py`.
    const FIXTURE: &str = include_str!("../../../../convergence/fixtures/intervals.json");

    fn numbers(value: &Value) -> Vec<f64> {
        value.as_array().expect("it is a list").iter().map(|number| number.as_f64().expect("a number")).collect()
    }

    #[test]
    fn differences_have_the_intervals_of_scipy_and_noise_is_what_its_test_cannot_tell() {
        let cases: Value = serde_json::from_str(FIXTURE).expect("the fixture is JSON");
        let cases = cases["pairs"].as_array().expect("there are pairs");
        assert!(cases.iter().any(|case| case["p"].as_f64() < Some(0.05)));
        assert!(cases.iter().any(|case| case["p"].as_f64() > Some(0.05)));
        for case in cases {
            let behind = Behind::of(&numbers(&case["losses"]), &numbers(&case["best"])).expect("they are as many");
            let (low, high) = (case["low"].as_f64().expect("a number"), case["high"].as_f64().expect("a number"));
            let Band { mean, half_width } = behind.difference;
            let close = |found: f64, expected: f64| (found - expected).abs() < 1e-9 * high.abs().max(low.abs());
            assert!(close(mean - half_width, low) && close(mean + half_width, high), "{case}: {behind:?}");
            assert_eq!(behind.is_noise(), Some(case["p"].as_f64() > Some(0.05)), "{case}");
        }
        assert_eq!(Behind::of(&[2.0], &[1.5]).and_then(|behind| behind.is_noise()), None);
        assert_eq!(Behind::of(&[2.0], &[]), None);
    }
}
