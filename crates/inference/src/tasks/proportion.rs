//! How many of a number of questions, and how sure that is.

use serde::Serialize;

/// The 0.975 quantile of the normal distribution.
const QUANTILE: f64 = 1.959_963_984_540_054;

/// A part of a number of questions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Proportion {
    /// Those that are right.
    pub right: usize,
    /// All of them, at least one.
    pub questions: usize,
    /// The first over the second.
    pub accuracy: f64,
    /// The lower end of its 95 % interval.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Proportion {
    /// With Wilson's interval (1927, "Probable Inference, the Law of Succession, and Statistical Inference", without a
    /// correction for continuity), which stays between 0 and 1 and holds for few questions, too. None of no questions.
    pub fn of(right: usize, questions: usize) -> Option<Self> {
        if questions == 0 {
            return None;
        }
        let (count, square) = (questions as f64, QUANTILE * QUANTILE);
        let accuracy = right as f64 / count;
        let centre = (accuracy + square / (2.0 * count)) / (1.0 + square / count);
        let spread = accuracy * (1.0 - accuracy) / count + square / (4.0 * count * count);
        let half_width = QUANTILE / (1.0 + square / count) * spread.sqrt();
        // Rounding may leave the ends where the interval touches them.
        let (low, high) = ((centre - half_width).max(0.0), (centre + half_width).min(1.0));
        Some(Self { right, questions, accuracy, low, high })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `scipy.stats.binomtest(k, n).proportion_ci(0.95, method="wilson")` of SciPy 1.17.1.
    #[test]
    fn the_interval_is_that_of_scipy() {
        let cases = [
            (0, 1, 0.0, 0.7934506856227626),
            (1, 1, 0.20654931437723745, 1.0),
            (0, 10, 0.0, 0.27753279986288926),
            (7, 10, 0.39677814746114526, 0.892208732593699),
            (61, 200, 0.2453641563073503, 0.37198552097978366),
            (1000, 1000, 0.9961732415144449, 1.0),
            (5012, 10042, 0.4893266876526077, 0.50888152615668),
        ];
        for (right, questions, low, high) in cases {
            let found = Proportion::of(right, questions).unwrap();
            assert!((found.low - low).abs() < 1e-12 && (found.high - high).abs() < 1e-12, "{found:?}");
            assert_eq!(found.accuracy, right as f64 / questions as f64);
        }
        assert_eq!(Proportion::of(0, 0), None);
    }
}
