//! Halved when the loss has come down to the error floor of the rate.

use kiln_settings::Violation;
use serde::{Deserialize, Serialize};

use super::config::Settings;
use super::{Schedule, ScheduleStateError, StallTest, Theory, rules};

/// `[schedule.error-floor]`.
///
/// At a constant rate eta, stochastic gradient descent comes no closer to the minimum than the floor eta L sigma² / (2 c b)
/// (Bottou, Curtis and Nocedal, "Optimization Methods for Large-Scale Machine Learning", 2018, Theorem 4.6), so the rate
/// is cut whenever the error is down to `multiple` times the floor of the present rate; then the error goes to 0 (the same,
/// section 4.2).
///
/// Where the problem's constants are known, the rule is that to the letter. A network has no known constants; there the floor
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
    /// With known constants: the rate is cut when F - F* is at most so many floors, > 0. Default `2.0`.
    #[serde(default = "two")]
    pub multiple: f64,
    /// With the floor estimated: updates in the first window of losses that is tested, >= 4. Default `200`.
    #[serde(default = "default_window")]
    pub window: u64,
    /// With the floor estimated: how many times longer the windows are after each cut, >= 1. A smaller rate needs longer to show
    /// what it can do. Default `2.0`.
    #[serde(default = "two")]
    pub window_growth: f64,
    /// With the floor estimated: a fall of at most so many standard errors is none, >= 0. Default `1.0`.
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
    fn warmup(&self) -> u64 {
        self.warmup
    }

    fn build(&self, _steps: u64) -> (f64, Box<dyn Schedule>) {
        (self.rate, Box::new(ErrorFloor::new(self.clone())))
    }

    fn validate(&self, _steps: u64) -> Vec<Violation> {
        let at_least = |key, least: f64, value: f64| {
            (!(value >= least && value.is_finite()))
                .then(|| Violation::new(key, format!("must be {least} or more, is {value}")))
        };
        let rules = [
            rules::positive("rate", self.rate),
            rules::shrinking("factor", self.factor),
            rules::positive("multiple", self.multiple),
            (self.window < 4).then(|| Violation::new("window", format!("must be 4 or more, is {}", self.window))),
            at_least("window-growth", 1.0, self.window_growth),
            at_least("standard-errors", 0.0, self.standard_errors),
        ];
        rules.into_iter().flatten().collect()
    }
}

struct ErrorFloor {
    config: ErrorFloorConfig,
    progress: Progress,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Progress {
    rate: f64,
    stall: StallTest,
    /// Whether the constants of the problem were told.
    knows_theory: bool,
}

impl ErrorFloor {
    fn new(config: ErrorFloorConfig) -> Self {
        let progress = Progress { rate: config.rate, stall: StallTest::new(config.window), knows_theory: false };
        Self { config, progress }
    }

    fn cut(&mut self) {
        self.progress.rate *= self.config.factor;
        // Windows beyond any run mean that there is no further cut.
        let window = (self.progress.stall.window() as f64 * self.config.window_growth) as u64;
        self.progress.stall.restart(window);
    }
}

impl Schedule for ErrorFloor {
    fn observe_training(&mut self, loss: f64) {
        if !self.progress.knows_theory && self.progress.stall.observe(loss, self.config.standard_errors) == Some(true) {
            self.cut();
        }
    }

    fn observe_theory(&mut self, theory: Theory) {
        self.progress.knows_theory = true;
        let floor = self.progress.rate * theory.floor_per_rate;
        // Without noise there is no floor, and nothing to cut the rate for.
        if floor > 0.0 && theory.excess <= self.config.multiple * floor {
            self.cut();
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
