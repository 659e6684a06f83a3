//! What chance explains: intervals of shares, paired tests, and Holm's correction for many of them.

use kiln_convergence::Band;
use statrs::distribution::{Beta, ContinuousCDF, StudentsT};

/// A share with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    /// How many.
    pub count: usize,
    /// Of how many.
    pub of: usize,
    /// The lower end of Clopper and Pearson's interval ("The use of confidence or fiducial limits illustrated in the
    /// case of the binomial", 1934), which covers the share with a probability of 95 % at least.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Share {
    /// `count` of `of`, which is not 0.
    pub fn new(count: usize, of: usize) -> Self {
        let quantile = |first: usize, second: usize, probability: f64| {
            Beta::new(first as f64, second as f64).map_or(f64::NAN, |beta| beta.inverse_cdf(probability))
        };
        let low = if count == 0 { 0.0 } else { quantile(count, of - count + 1, 0.025) };
        let high = if count == of { 1.0 } else { quantile(count + 1, of - count, 0.975) };
        Self { count, of, low, high }
    }

    /// The share itself.
    pub fn share(self) -> f64 {
        self.count as f64 / self.of as f64
    }
}

/// A paired comparison: the mean of first - second, pair by pair.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Paired {
    /// The mean difference with its 95 % interval.
    pub difference: Band,
    /// The probability of a mean as far from 0 where there is no difference, by Student's test for pairs; nothing with
    /// fewer than two pairs.
    pub probability: Option<f64>,
}

impl Paired {
    /// Of pairs.
    pub fn of(first: &[f64], second: &[f64]) -> Self {
        let differences: Vec<f64> = first.iter().zip(second).map(|(first, second)| first - second).collect();
        let difference = Band::of_95(&differences);
        let n = differences.len() as f64;
        let probability = (differences.len() > 1).then(|| {
            let squares: f64 = differences.iter().map(|value| (value - difference.mean).powi(2)).sum();
            let t = difference.mean.abs() / (squares / (n - 1.0) / n).sqrt();
            if t.is_nan() { 1.0 } else { 2.0 * StudentsT::new(0.0, 1.0, n - 1.0).map_or(0.5, |student| student.sf(t)) }
        });
        Self { difference, probability }
    }
}

/// Probabilities corrected for how many tests there are, in their order, by Holm ("A simple sequentially rejective
/// multiple test procedure", 1979): where those below 0.05 are called significant, the probability of one wrong call or
/// more is at most 5 %.
pub fn holm(probabilities: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|left, right| probabilities[*left].total_cmp(&probabilities[*right]));
    let (mut corrected, mut largest) = (vec![0.0; probabilities.len()], 0.0_f64);
    for (rank, index) in order.into_iter().enumerate() {
        largest = largest.max(((probabilities.len() - rank) as f64 * probabilities[index]).min(1.0));
        corrected[index] = largest;
    }
    corrected
}

/// The half-width of a 95 % interval over its standard error, by its degrees of freedom.
pub(crate) fn student_95(freedom: f64) -> f64 {
    StudentsT::new(0.0, 1.0, freedom).map_or(f64::INFINITY, |student| student.inverse_cdf(0.975))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// SciPy's numbers, made by `scripts/reference/study.py`.
    const FIXTURE: &str = include_str!("../fixtures/statistics.json");

    fn numbers(value: &Value) -> Vec<f64> {
        value.as_array().unwrap().iter().filter_map(Value::as_f64).collect()
    }

    fn assert_close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-7 * expected.abs().max(1e-3), "{found}, {expected}");
    }

    #[test]
    fn shares_have_the_intervals_of_scipy() {
        let fixture: Value = serde_json::from_str(FIXTURE).unwrap();
        for case in fixture["shares"].as_array().unwrap() {
            let whole = |key: &str| case[key].as_u64().unwrap() as usize;
            let share = Share::new(whole("count"), whole("of"));
            assert_close(share.low, case["low"].as_f64().unwrap());
            assert_close(share.high, case["high"].as_f64().unwrap());
        }
    }

    #[test]
    fn paired_tests_are_those_of_scipy() {
        let fixture: Value = serde_json::from_str(FIXTURE).unwrap();
        for case in fixture["pairs"].as_array().unwrap() {
            let paired = Paired::of(&numbers(&case["first"]), &numbers(&case["second"]));
            assert_close(paired.probability.unwrap(), case["p"].as_f64().unwrap());
            assert_close(paired.difference.mean - paired.difference.half_width, case["low"].as_f64().unwrap());
        }
        assert_eq!(Paired::of(&[1.0], &[2.0]).probability, None);
        assert_eq!(Paired::of(&[1.0, 2.0], &[1.0, 2.0]).probability, Some(1.0));
    }

    #[test]
    fn holm_is_that_by_hand() {
        // 3 x 0.01, then the largest so far of 2 x 0.02 and 1 x 0.9, in the order given.
        assert_eq!(holm(&[0.9, 0.01, 0.02]), [0.9, 0.03, 0.04]);
        assert_eq!(holm(&[0.02, 0.6, 0.02]), [0.06, 0.6, 0.06]);
        assert_eq!(holm(&[]), Vec::<f64>::new());
    }
}
