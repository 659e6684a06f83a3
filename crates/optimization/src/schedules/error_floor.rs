//! Halved when the loss has come down to the error floor of the rate.

use kiln_settings::Violation;
use serde::{Deserialize, Serialize};

use super::settings::{Follows, Settings};
use super::{Schedule, ScheduleStateError, StallTest, Theory, rules};

/// `[schedule.error-floor]`.
///
/// At a constant rate eta, stochastic gradient descent comes no closer to the minimum than the floor eta L sigma² /
/// (2 c b)
/// (Bottou, Curtis and Nocedal, "Optimization Methods for Large-Scale Machine Learning", 2018, Theorem 4.6), so the
/// rate
/// is cut whenever the error is down to `multiple` times the floor of the present rate; then the error goes to 0 (the
/// same,
/// section 4.2).
///
/// If the problem's constants are known, the rule is that to the letter. A network has no known constants; there the
/// floor
/// is **estimated**: it is taken to be reached when the training loss no longer falls by more than its noise, as
/// [`StallTest`] finds it, which also says when it errs.
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
    /// With the floor estimated: updates in the first window of losses that is tested, >= 4. Default `200`.
    #[serde(default = "default_window")]
    pub window: u64,
    /// With the floor estimated: how many times longer the windows are after each cut, >= 1. A smaller rate needs
    /// longer to show
    /// what it can do. Default `2.0`.
    #[serde(default = "two")]
    pub window_growth: f64,
    /// With the floor estimated: a fall of at most this many standard errors is none, >= 0. Default `1.0`.
    #[serde(default = "one")]
    pub standard_errors: f64,
    /// Updates over which the rate rises linearly to `rate`, before the rule applies. Default `0`.
    #[serde(default)]
    pub warmup: u64,
}

fn half() -> f64 {
    0.5
}

fn one() -> f64 {
    1.0
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
            window: (steps / 16).max(4),
            window_growth: two(),
            standard_errors: two(),
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
            rules::whole_at_least("window", 4, self.window),
            rules::at_least("window-growth", 1.0, self.window_growth),
            rules::at_least("standard-errors", 0.0, self.standard_errors),
        ];
        rules.into_iter().flatten().collect()
    }
}

struct ErrorFloor {
    config: ErrorFloorConfig,
    progress: Progress,
}

/// Checkpoints of earlier versions also say `knows_theory`, which is false in every run.
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
    /// From losses that no longer fall.
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
        if stall.observe(loss, self.config.standard_errors) == Some(true) {
            self.progress.rate *= self.config.factor;
            // Windows beyond any run mean that there is no further cut.
            stall.restart((stall.window() as f64 * self.config.window_growth) as u64);
        }
    }

    fn observe_theory(&mut self, theory: Theory) {
        self.progress.floor = Floor::Known;
        let floor = self.progress.rate * theory.floor_per_rate;
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
