//! Times of rounds, and what they mean.

use serde::Serialize;

use super::limits::Limits;
use super::statistics::median;

/// What a piece of work has to do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    /// Floating-point operations, a multiplication with its addition counted as two.
    pub(super) flops: f64,
    /// Bytes that it has to read and to write at least.
    pub(super) bytes: f64,
}

/// How fast a piece of work was, by the median of its rounds, and what part of the machine's limits that is.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Speed {
    pub(super) median_milliseconds: f64,
    pub(super) fastest_milliseconds: f64,
    pub(super) slowest_milliseconds: f64,
    /// Every round, in order.
    pub(super) round_milliseconds: Vec<f64>,
    pub(super) flops_per_second: f64,
    /// Of what the machine reaches in a matrix product.
    pub(super) matmul_fraction: Option<f64>,
    pub(super) bytes_per_second: f64,
    /// Of what the machine reaches in a copy.
    pub(super) copy_fraction: Option<f64>,
    /// Of what the machine reaches in reading.
    pub(super) read_fraction: Option<f64>,
}

impl Speed {
    /// From the seconds that the work took in each round, of which there is at least one.
    pub(super) fn new(seconds: &[f64], cost: Cost, limits: Option<&Limits>) -> Self {
        let median = median(seconds);
        let (flops_per_second, bytes_per_second) = (cost.flops / median, cost.bytes / median);
        Self {
            median_milliseconds: 1e3 * median,
            fastest_milliseconds: 1e3 * seconds.iter().copied().fold(f64::INFINITY, f64::min),
            slowest_milliseconds: 1e3 * seconds.iter().copied().fold(0.0, f64::max),
            round_milliseconds: seconds.iter().map(|seconds| 1e3 * seconds).collect(),
            flops_per_second,
            matmul_fraction: limits.map(|limits| flops_per_second / limits.matmul_flops_per_second),
            bytes_per_second,
            copy_fraction: limits.map(|limits| bytes_per_second / limits.copy_bytes_per_second),
            read_fraction: limits.and_then(|limits| Some(bytes_per_second / limits.read_bytes_per_second?)),
        }
    }

    /// Units of work a second, if one piece of work has `units`.
    pub(super) fn per_second(&self, units: u64) -> f64 {
        1e3 * units as f64 / self.median_milliseconds
    }
}

#[cfg(test)]
mod tests {
    use super::super::limits::Reading;
    use super::*;

    #[test]
    fn speeds_are_work_over_the_median_and_fractions_of_the_limits() {
        let reading = |matmul_flops_per_second, copy_bytes_per_second, read: f64| Reading {
            matmul_flops_per_second,
            copy_bytes_per_second,
            read_bytes_per_second: Some(read),
        };
        let limits = Limits::between(reading(90.0, 40.0, 10.0), reading(110.0, 60.0, 30.0));
        let speed = Speed::new(&[0.5, 0.1, 4.0], Cost { flops: 10.0, bytes: 5.0 }, Some(&limits));
        assert_eq!(
            (speed.fastest_milliseconds, speed.median_milliseconds, speed.slowest_milliseconds),
            (100.0, 500.0, 4000.0)
        );
        assert_eq!((speed.flops_per_second, speed.matmul_fraction), (20.0, Some(0.2)));
        assert_eq!((speed.bytes_per_second, speed.copy_fraction), (10.0, Some(0.2)));
        assert_eq!(speed.read_fraction, Some(0.5));
        assert_eq!(speed.per_second(3), 6.0);
        assert_eq!(Speed::new(&[1.0], Cost { flops: 1.0, bytes: 1.0 }, None).copy_fraction, None);
    }
}
