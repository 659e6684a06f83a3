//! Rates between given updates.

use kiln_settings::Violation;
use serde::{Deserialize, Serialize};

use super::by_time::RateByTime;
use super::rules;

/// `[schedule.piecewise]`: one rate up to each boundary.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PiecewiseConfig {
    /// The rates, each > 0; the first holds from the start.
    pub rates: Vec<f64>,
    /// After how many updates of the run each rate but the first begins, rising; one fewer than `rates`.
    pub boundaries: Vec<u64>,
    /// Updates over which the rate rises linearly to the first one. Default `0`.
    #[serde(default)]
    pub warmup: u64,
}

impl RateByTime for PiecewiseConfig {
    const IS_A_POWER: bool = false;

    fn example(rate: f64, steps: u64) -> Self {
        let boundaries = vec![steps / 4, steps / 2];
        Self { rates: vec![rate / 2.0, rate, rate / 10.0], boundaries, warmup: steps / 20 }
    }

    /// With t from 0, warm-up included, and boundaries b_1 < b_2 < ...: eta_t = rates[i], i the number of boundaries
    /// <= t.
    fn rate_at(&self, t: u64, _updates: u64) -> f64 {
        let passed = self.boundaries.iter().filter(|boundary| **boundary <= t + self.warmup).count();
        self.rates.get(passed).or(self.rates.last()).copied().unwrap_or_default()
    }

    fn warmup(&self) -> u64 {
        self.warmup
    }

    fn validate(&self, _steps: u64) -> Vec<Violation> {
        let mut violations = Vec::new();
        if self.rates.is_empty() {
            violations.push(Violation::new("rates", "is empty").with_help("write one rate more than boundaries"));
        }
        let rates = self.rates.iter().enumerate();
        violations.extend(rates.filter_map(|(index, rate)| rules::positive(&format!("rates[{index}]"), *rate)));
        if self.boundaries.len() + 1 != self.rates.len() && !self.rates.is_empty() {
            let (found, expected) = (self.boundaries.len(), self.rates.len() - 1);
            let message = format!("must have one entry fewer than `rates`, {expected}, has {found}");
            violations.push(Violation::new("boundaries", message));
        }
        if let Some(index) = self.boundaries.windows(2).position(|pair| pair[0] >= pair[1]) {
            let (before, after) = (self.boundaries[index], self.boundaries[index + 1]);
            let message = format!("must be above the boundary before it ({before}), is {after}");
            violations.push(Violation::new(format!("boundaries[{}]", index + 1), message));
        }
        violations
    }
}
