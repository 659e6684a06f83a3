//! Means over independent repeats, with their confidence.

use statrs::distribution::{ContinuousCDF, StudentsT};

/// A mean with the half-width of its 95 % confidence interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Band {
    /// The mean.
    pub mean: f64,
    /// From the mean to either end; 0 where there is one value and nothing to tell a spread from.
    pub half_width: f64,
}

impl Band {
    /// The mean of `values`, with the interval that Student's distribution gives for as many.
    pub fn of_95(values: &[f64]) -> Self {
        Self::of(values, confidence_half_width(values.len()))
    }

    /// The mean of `values`, its interval `quantile` standard errors wide on either side.
    pub(crate) fn of(values: &[f64], quantile: f64) -> Self {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        if values.len() < 2 {
            return Self { mean, half_width: 0.0 };
        }
        let scale = scale(values, mean);
        let variance = values.iter().map(|value| ((value - mean) / scale).powi(2)).sum::<f64>() / (n - 1.0);
        Self { mean, half_width: scale * quantile * (variance / n).sqrt() }
    }
}

/// What deviations from the mean are divided by before they are raised to powers, where those would leave the range of
/// numbers; else 1.
fn scale(values: &[f64], mean: f64) -> f64 {
    let largest = values.iter().map(|value| (value - mean).abs()).fold(0.0, f64::max);
    if (1e-100..1e100).contains(&largest) || largest == 0.0 { 1.0 } else { largest }
}

/// How many standard errors the half-width of a 95 % interval for the mean of `count` values is: the 0.975 quantile of
/// Student's distribution with count - 1 degrees of freedom.
pub(crate) fn confidence_half_width(count: usize) -> f64 {
    student_quantile(count, 0.975)
}

/// The `probability` quantile of Student's distribution for the mean of `count` values, with count - 1 degrees of
/// freedom.
pub(crate) fn student_quantile(count: usize, probability: f64) -> f64 {
    let freedom = count.saturating_sub(1).max(1) as f64;
    StudentsT::new(0.0, 1.0, freedom).map_or(f64::INFINITY, |distribution| distribution.inverse_cdf(probability))
}

/// The first three moments of a sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Skewed {
    count: f64,
    pub(crate) mean: f64,
    deviation: f64,
    /// The third central moment over the third power of the standard deviation; 0 where all values are equal.
    pub(crate) skewness: f64,
}

impl Skewed {
    pub(crate) fn of(values: &[f64]) -> Self {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let scale = scale(values, mean);
        let central = |power: i32| values.iter().map(|value| ((value - mean) / scale).powi(power)).sum::<f64>() / count;
        let deviation = (central(2) * count / (count - 1.0)).sqrt();
        let skewness = if deviation > 0.0 { central(3) / deviation.powi(3) } else { 0.0 };
        Self { count, mean, deviation: deviation * scale, skewness }
    }

    /// Student's statistic t for the mean `expected`, corrected by Hall for a skewness g ("On the Removal of Skewness
    /// by Transformation", 1992): t + g (1/6 + t²/3) / sqrt(n) + g² t³ / (27 n), which rises with t.
    pub(crate) fn hall(&self, expected: f64, skewness: f64) -> f64 {
        let t = (self.mean - expected) / (self.deviation / self.count.sqrt());
        if !t.is_finite() {
            return t;
        }
        let g = skewness / self.count.sqrt();
        t + g * (1.0 / 6.0 + t * t / 3.0) + g * g * t.powi(3) / 27.0
    }
}

/// A straight line through points by least squares.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Line {
    pub(crate) slope: f64,
    pub(crate) intercept: f64,
    /// The standard error of the slope, if the points' deviations were independent.
    pub(crate) slope_error: f64,
}

impl Line {
    /// The line through at least two points of different x.
    pub(crate) fn through(points: &[(f64, f64)]) -> Option<Self> {
        let n = points.len() as f64;
        let mean_x = points.iter().map(|(x, _)| x).sum::<f64>() / n;
        let mean_y = points.iter().map(|(_, y)| y).sum::<f64>() / n;
        let spread = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum::<f64>();
        if points.len() < 2 || spread == 0.0 {
            return None;
        }
        let slope = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum::<f64>() / spread;
        let intercept = mean_y - slope * mean_x;
        let residuals = points.iter().map(|(x, y)| (y - intercept - slope * x).powi(2)).sum::<f64>();
        let slope_error = if points.len() > 2 { (residuals / (n - 2.0) / spread).sqrt() } else { 0.0 };
        Some(Self { slope, intercept, slope_error })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// SciPy's numbers, made by `scripts/reference/intervals.py`.
    const FIXTURE: &str = include_str!("../fixtures/intervals.json");

    #[test]
    fn intervals_are_those_of_scipy() {
        let fixture: Value = serde_json::from_str(FIXTURE).unwrap();
        let means = fixture["means"].as_array().unwrap();
        assert!(means.len() > 3);
        for case in means {
            let number = |key: &str| case[key].as_f64().unwrap();
            let values: Vec<f64> = case["values"].as_array().unwrap().iter().filter_map(Value::as_f64).collect();
            let Band { mean, half_width } = Band::of_95(&values);
            for (found, expected) in
                [(mean, number("mean")), (mean - half_width, number("low")), (mean + half_width, number("high"))]
            {
                assert!((found - expected).abs() < 1e-9 * expected.abs(), "{case}: {found}");
            }
        }
        assert_eq!(Band::of_95(&[2.5]), Band { mean: 2.5, half_width: 0.0 });
        // Also where squares leave the range of numbers.
        let (large, small) = (Band::of_95(&[1e200, 3e200]), Band::of_95(&[1.0, 3.0]));
        assert!((large.half_width / small.half_width / 1e200 - 1.0).abs() < 1e-12, "{large:?}");
    }

    #[test]
    fn halls_statistic_is_the_one_by_hand() {
        // Mean 1, standard deviation 2, third central moment (27 - 3) / 4 = 6; t = 1 and g / sqrt(n) = 0.375.
        let moments = Skewed::of(&[0.0, 0.0, 0.0, 4.0]);
        assert_eq!((moments.mean, moments.deviation, moments.skewness), (1.0, 2.0, 0.75));
        let expected = 1.0 + 0.375 * 0.5 + 0.375 * 0.375 / 27.0;
        assert!((moments.hall(0.0, 0.75) - expected).abs() < 1e-15);
        let small = Skewed::of(&[0.0, 0.0, 0.0, 4e-120]);
        assert!((small.skewness - 0.75).abs() < 1e-12 && (small.deviation / 2e-120 - 1.0).abs() < 1e-12);
        // It rises with t, also far below, where a correction of second order would turn round.
        let statistics: Vec<f64> = (0..40).map(|expected| moments.hall(f64::from(expected), 3.0)).collect();
        assert!(statistics.windows(2).all(|pair| pair[0] >= pair[1]), "{statistics:?}");
        assert_eq!(Skewed::of(&[2.0, 2.0]).hall(3.0, 1.0), f64::NEG_INFINITY);
    }
}
