//! Medians, and how measurements grow with the length of a window.

use serde::Serialize;

/// Bytes.
pub(super) const MEBIBYTE: f64 = (1 << 20) as f64;

/// The middle one, or the mean of the two middle ones.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        length if length.is_multiple_of(2) => f64::midpoint(sorted[middle - 1], sorted[middle]),
        _ => sorted[middle],
    }
}

/// What one side took at one length.
pub(super) struct Sizes {
    pub(super) length: f64,
    pub(super) time: f64,
    pub(super) memory: Option<f64>,
}

/// Powers of the length that time and memory grow with between the last two lengths.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Growth {
    pub(super) lengths: Option<[f64; 2]>,
    pub(super) time_exponent: Option<f64>,
    pub(super) memory_exponent: Option<f64>,
}

/// Bytes as `fixed_bytes + bytes_a_token T`, by least squares.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Line {
    pub(super) bytes_a_token: f64,
    pub(super) fixed_bytes: f64,
    /// The largest difference between a measurement and the line, as a part of the measurement.
    pub(super) largest_relative_residual: f64,
}

impl Growth {
    /// From measurements at growing lengths; empty if there are fewer than two.
    pub(super) fn of(measurements: impl Iterator<Item = Sizes>) -> Self {
        let measurements: Vec<Sizes> = measurements.collect();
        let [.., before, last] = &measurements[..] else { return Self::default() };
        let longer = (last.length / before.length).ln();
        let exponent = |before: f64, last: f64| (last / before).ln() / longer;
        Self {
            lengths: Some([before.length, last.length]),
            time_exponent: Some(exponent(before.time, last.time)),
            memory_exponent: before.memory.zip(last.memory).map(|(before, last)| exponent(before, last)),
        }
    }

    /// For a person, a line or none.
    pub(super) fn words(&self, side: &str) -> String {
        let (Some([before, last]), Some(time)) = (self.lengths, self.time_exponent) else { return String::new() };
        let memory = self.memory_exponent.map_or_else(String::new, |memory| format!(", memory as T^{memory:.2}"));
        format!("{side}: from T = {before} to {last} time grows as T^{time:.2}{memory}\n")
    }
}

impl Line {
    /// Through points (length, bytes); `None` for fewer than three, which always lie on a line.
    pub(super) fn through(points: impl Iterator<Item = (f64, f64)>) -> Option<Self> {
        let points: Vec<(f64, f64)> = points.collect();
        if points.len() < 3 {
            return None;
        }
        let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / points.len() as f64;
        let (length, bytes) = (mean(|point| point.0), mean(|point| point.1));
        let together: f64 = points.iter().map(|point| (point.0 - length) * (point.1 - bytes)).sum();
        let alone: f64 = points.iter().map(|point| (point.0 - length).powi(2)).sum();
        let bytes_a_token = together / alone;
        let fixed_bytes = bytes - bytes_a_token * length;
        let residual = |point: &(f64, f64)| (point.1 - fixed_bytes - bytes_a_token * point.0).abs() / point.1;
        let largest_relative_residual = points.iter().map(residual).fold(0.0, f64::max);
        Some(Self { bytes_a_token, fixed_bytes, largest_relative_residual })
    }

    /// For a person, a line of text.
    pub(super) fn words(&self) -> String {
        format!(
            "fused: memory is {:.0} bytes a token and {:.1} MiB, by least squares; \
             the farthest length is {:.1} % from that line\n",
            self.bytes_a_token,
            self.fixed_bytes / MEBIBYTE,
            100.0 * self.largest_relative_residual
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 30.0]), 3.0);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn growth_is_a_power_of_the_length() {
        let sizes = |length: f64| Sizes { length, time: 3.0 * length.powi(2), memory: Some(5.0 * length) };
        let growth = Growth::of([1.0, 10.0, 30.0].map(sizes).into_iter());
        assert_eq!(growth.lengths, Some([10.0, 30.0]));
        let [time, memory] =
            [growth.time_exponent, growth.memory_exponent].map(|exponent| exponent.expect("it is known"));
        assert!((time - 2.0).abs() < 1e-12 && (memory - 1.0).abs() < 1e-12);
        assert_eq!(growth.words("fused"), "fused: from T = 10 to 30 time grows as T^2.00, memory as T^1.00\n");
        let unknown = |length: f64| Sizes { memory: None, ..sizes(length) };
        assert_eq!(Growth::of([1.0, 2.0].map(unknown).into_iter()).memory_exponent, None);
        assert_eq!(Growth::of([sizes(1.0)].into_iter()), Growth::default());
        assert_eq!(Growth::default().words("fused"), "");
    }

    #[test]
    fn the_line_is_the_one_of_least_squares() {
        let exact = Line::through([1.0, 2.0, 4.0].map(|length| (length, 7.0 + 3.0 * length)).into_iter());
        let exact = exact.expect("three points make a line");
        assert!((exact.bytes_a_token - 3.0).abs() < 1e-12 && (exact.fixed_bytes - 7.0).abs() < 1e-12);
        assert!(exact.largest_relative_residual < 1e-12);
        // By hand: the means are 2 and 17/6, the slope (2 (17/6 - 5/2) + 2 (9/2 - 17/6)) / 8 = 1/2.
        let bent = Line::through([(0.0, 2.5), (2.0, 1.5), (4.0, 4.5)].into_iter()).expect("three points make a line");
        assert!((bent.bytes_a_token - 0.5).abs() < 1e-12 && (bent.fixed_bytes - 11.0 / 6.0).abs() < 1e-12);
        assert!((bent.largest_relative_residual - (17.0 / 6.0 - 1.5) / 1.5).abs() < 1e-12);
        assert_eq!(Line::through([(1.0, 1.0), (2.0, 2.0)].into_iter()), None);
    }
}
