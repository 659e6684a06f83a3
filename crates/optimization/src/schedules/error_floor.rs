//! Halved when the loss has come down to the error floor of the rate.

use kiln_settings::Violation;
use serde::{Deserialize, Serialize};

use super::settings::{Follows, Settings};
use super::{Finding, Schedule, ScheduleStateError, StallTest, Theory, rules};

/// `[schedule.error-floor]`.
///
/// At a constant rate eta, stochastic gradient descent comes no closer to the minimum than the floor eta L sigma² /
/// (2 c b) (Bottou, Curtis and Nocedal, "Optimization Methods for Large-Scale Machine Learning", 2018, Theorem 4.6), so
/// the rate is cut whenever the error is down to `multiple` times the floor of the present rate; then the error goes to
/// 0 (the same, section 4.2). That floor is a bound. At small rates the error really comes to rest at eta sigma*² /
/// (4 b), with the variance at the minimum: on a problem with condition number L/c that is 2 L/c times less, and the
/// rule cuts the rate long before it has done its work. `floor = "true"` takes that one.
///
/// If the problem's constants are known, the rule is that to the letter. A network has no known constants; there the
/// floor is **estimated**: it is taken to be reached when the training loss has come to rest, as [`StallTest`] finds
/// it, which also says when it errs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ErrorFloorConfig {
    /// The first learning rate, > 0.
    pub rate: f64,
    /// What the rate is multiplied by at the floor, in (0, 1). Default `0.5`.
    #[serde(default = "half")]
    pub factor: f64,
    /// With known constants: the rate is cut when F - F* is at most this many floors, > 0. Default `2.0`.
    #[serde(default = "two")]
    pub multiple: f64,
    /// With known constants: which floor is meant. Default `"theorem"`.
    #[serde(default)]
    pub floor: FloorKind,
    /// With the floor estimated: updates in the first window of losses that is tested, >= 16. Default `200`.
    #[serde(default = "default_window")]
    pub window: u64,
    /// With the floor estimated: how many times longer the windows are after each cut, >= 1. A smaller rate needs
    /// longer to show what it can do; above 1 / factor, windows that were too short become long enough. Default:
    /// 1.25 / factor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_growth: Option<f64>,
    /// With the floor estimated: the margin between falling and resting, in standard errors, > 0.
    /// Default `2.0`.
    #[serde(default = "two")]
    pub standard_errors: f64,
    /// With the floor estimated: the part of the fall seen at the present rate that is no fall any more, in (0, 1).
    /// Default `0.03`.
    #[serde(default = "three_hundredths")]
    pub tolerance: f64,
    /// Updates over which the rate rises linearly to `rate`, before the rule applies. Default `0`.
    #[serde(default)]
    pub warmup: u64,
}

/// Which floor of a rate is meant where the constants are known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FloorKind {
    /// That of the theorem's bound.
    #[default]
    Theorem,
    /// Where the error really comes to rest, at small rates.
    True,
}

fn half() -> f64 {
    0.5
}

fn three_hundredths() -> f64 {
    0.03
}

fn two() -> f64 {
    2.0
}

fn default_window() -> u64 {
    200
}

impl Settings for ErrorFloorConfig {
    fn example(rate: f64, steps: u64) -> Self {
        Self {
            rate,
            factor: half(),
            multiple: two(),
            floor: FloorKind::default(),
            window: (steps / 16).max(16),
            window_growth: None,
            standard_errors: two(),
            tolerance: three_hundredths(),
            warmup: steps / 20,
        }
    }

    fn follows(&self) -> Follows {
        Follows::Losses
    }

    fn warmup(&self) -> u64 {
        self.warmup
    }

    fn build(&self, _steps: u64) -> (f64, Box<dyn Schedule>) {
        (self.rate, Box::new(ErrorFloor::new(self.clone())))
    }

    fn validate(&self, _steps: u64) -> Vec<Violation> {
        let rules = [
            rules::positive("rate", self.rate),
            rules::shrinking("factor", self.factor),
            rules::positive("multiple", self.multiple),
            rules::whole_at_least("window", 16, self.window),
            self.window_growth.and_then(|growth| rules::at_least("window-growth", 1.0, growth)),
            rules::positive("standard-errors", self.standard_errors),
            rules::shrinking("tolerance", self.tolerance),
        ];
        rules.into_iter().flatten().collect()
    }
}

struct ErrorFloor {
    config: ErrorFloorConfig,
    progress: Progress,
}

#[derive(Serialize, Deserialize)]
struct Progress {
    rate: f64,
    #[serde(rename = "stall")]
    floor: Floor,
}

/// How the schedule knows that the loss is down to the floor.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Floor {
    /// From losses that have come to rest.
    Estimated(StallTest),
    /// From the constants of the problem, since they were first given.
    Known,
}

impl ErrorFloor {
    fn new(config: ErrorFloorConfig) -> Self {
        let floor = Floor::Estimated(StallTest::new(config.window));
        let progress = Progress { rate: config.rate, floor };
        Self { config, progress }
    }
}

impl Schedule for ErrorFloor {
    fn observe_training(&mut self, loss: f64) {
        let Floor::Estimated(stall) = &mut self.progress.floor else { return };
        let ErrorFloorConfig { factor, window_growth, standard_errors, tolerance, .. } = self.config;
        if stall.observe(loss, standard_errors, tolerance) == Some(Finding::AtRest) {
            self.progress.rate *= factor;
            stall.rate_was_cut(factor, window_growth.unwrap_or(1.25 / factor));
        }
    }

    fn observe_theory(&mut self, theory: Theory) {
        self.progress.floor = Floor::Known;
        let per_rate = match self.config.floor {
            FloorKind::Theorem => theory.floor_per_rate,
            FloorKind::True => theory.true_floor_per_rate,
        };
        let floor = self.progress.rate * per_rate;
        // Without noise there is no floor, and nothing to cut the rate for.
        if floor > 0.0 && theory.excess <= self.config.multiple * floor {
            self.progress.rate *= self.config.factor;
        }
    }

    fn next_rate(&mut self) -> f64 {
        self.progress.rate
    }

    fn state(&self) -> serde_json::Value {
        serde_json::json!(self.progress)
    }

    fn restore(&mut self, state: serde_json::Value) -> Result<(), ScheduleStateError> {
        self.progress = serde_json::from_value(state)?;
        Ok(())
    }
}
