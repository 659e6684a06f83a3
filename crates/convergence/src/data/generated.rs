//! Samples of a linear model.

use kiln_settings::Violation;
use nalgebra::{DMatrix, DVector};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use super::{Samples, Targets};

/// `generated`: x ~ N(0, S) with S diagonal, v ~ N(0, I); numbers y = xᵀv + noise, or classes with P(y = 1) =
/// 1 / (1 + exp(-xᵀv)).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct GeneratedConfig {
    /// n, samples, 2 to 1000000. Default `500`.
    pub samples: usize,
    /// d, features, 1 to 1000. Default `10`.
    pub features: usize,
    /// How many times larger the variance of the first feature is than that of the last, in equal factors, 1 to 1e10.
    /// Default `10.0`.
    pub condition: f64,
    /// Standard deviation of the noise of numbers, 0 to 1e12. Default `0.5`.
    pub noise: f64,
}

/// 400 MB.
const MOST_NUMBERS: usize = 50_000_000;

impl Default for GeneratedConfig {
    fn default() -> Self {
        Self { samples: 500, features: 10, condition: 10.0, noise: 0.5 }
    }
}

impl GeneratedConfig {
    pub(super) fn validate(&self) -> Vec<Violation> {
        let mut violations = Vec::new();
        for (key, value, least, most) in [("samples", self.samples, 2, 1_000_000), ("features", self.features, 1, 1000)]
        {
            if !(least..=most).contains(&value) {
                violations.push(Violation::new(key, format!("must be from {least} to {most}, is {value}")));
            }
        }
        if self.samples.saturating_mul(self.features) > MOST_NUMBERS {
            let message = format!("times `samples` is more than {MOST_NUMBERS} numbers");
            violations.push(Violation::new("features", message));
        }
        for (key, value, least, most) in [("condition", self.condition, 1.0, 1e10), ("noise", self.noise, 0.0, 1e12)] {
            if !(least..=most).contains(&value) {
                violations.push(Violation::new(key, format!("must be {least} or more, up to {most:e}, is {value}")));
            }
        }
        violations
    }

    pub(super) fn samples(&self, targets: Targets, seed: u64) -> Samples {
        let (n, d) = (self.samples, self.features);
        let mut draws = ChaCha8Rng::seed_from_u64(seed);
        let mut normal = || Distribution::<f64>::sample(&StandardNormal, &mut draws);
        let truth = DVector::from_fn(d, |_, _| normal());
        let deviation = |feature: usize| {
            let place = if d > 1 { feature as f64 / (d - 1) as f64 } else { 0.0 };
            self.condition.powf(-0.5 * place)
        };
        let features = DMatrix::from_fn(n, d, |_, feature| deviation(feature) * normal());
        let means = &features * truth;
        let targets = match targets {
            Targets::Numbers => means.map(|mean| mean + self.noise * normal()),
            Targets::Classes => means.map(|mean| {
                let one = draws.random::<f64>() < 1.0 / (1.0 + (-mean).exp());
                if one { 1.0 } else { -1.0 }
            }),
        };
        Samples { features, targets }
    }
}
