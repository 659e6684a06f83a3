//! `[sweep]`: how many seeds, and how the entrants are found and trained.

use kiln_settings::{Violation, rules};
use serde::{Deserialize, Serialize};

/// The settings of a sweep. Beside them `[sweep.set]` has keys of the configuration with several values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SweepSettings {
    /// Runs of each entrant, with the seeds from that of its configuration on, >= 1. Default `1`.
    #[serde(default = "one")]
    pub seeds: u64,
    /// Which combinations of values are tried, and how long. Default `grid`.
    #[serde(default)]
    pub search: Search,
    /// Combinations that are drawn, >= 1. Default: all there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trials: Option<u64>,
    /// With `halving`: one in this many entrants reaches the next rung, >= 2. Default `2`.
    #[serde(default = "two")]
    pub reduction_factor: u64,
    /// Schedules that are tried at the rate of the file's own, by their names; `all` stands for every one.
    /// Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schedules: Vec<String>,
    /// Highest rates of the file's schedule that are tried, each above 0; its other rates follow. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rates: Vec<f64>,
}

/// Which combinations of values are tried, and how long.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Search {
    /// Every combination, to the end.
    #[default]
    Grid,
    /// Combinations that are drawn at random, to the end.
    Random,
    /// Every combination, or those drawn, in rungs: only the best are trained on.
    Halving,
}

impl Search {
    /// Its name in a file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Grid => "grid",
            Self::Random => "random",
            Self::Halving => "halving",
        }
    }
}

fn one() -> u64 {
    1
}

fn two() -> u64 {
    2
}

impl Default for SweepSettings {
    fn default() -> Self {
        Self {
            seeds: 1,
            search: Search::Grid,
            trials: None,
            reduction_factor: 2,
            schedules: Vec::new(),
            rates: Vec::new(),
        }
    }
}

impl SweepSettings {
    /// Every broken rule, keys relative to `[sweep]`.
    pub(super) fn validate(&self) -> Vec<Violation> {
        const MOST_SEEDS: u64 = 1000;
        let seeds = (!(1..=MOST_SEEDS).contains(&self.seeds))
            .then(|| Violation::new("seeds", format!("must be between 1 and {MOST_SEEDS}, is {}", self.seeds)));
        let trials = self.trials.and_then(|trials| rules::whole_at_least("trials", 1, trials));
        let factor = rules::whole_at_least("reduction-factor", 2, self.reduction_factor);
        let without = (self.search == Search::Grid && self.trials.is_some()).then(|| {
            Violation::new("trials", "is the number of combinations that are drawn, but a grid has all of them")
                .with_help("write `search = \"random\"` or `\"halving\"`, or leave `trials` out")
        });
        let is_rate = |rate: &f64| rate.is_finite() && *rate > 0.0;
        let wrong = self.rates.iter().find(|rate| !is_rate(rate));
        let rates = wrong.map(|rate| Violation::new("rates", format!("must be above 0, is {rate}")));
        let both = (!self.rates.is_empty() && !self.schedules.is_empty()).then(|| {
            Violation::new("rates", "are those of the file's schedule, but `schedules` puts others in its place")
                .with_help("leave one of the two out")
        });
        [seeds, trials, factor, without, rates, both].into_iter().flatten().collect()
    }
}
