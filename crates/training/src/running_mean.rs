//! Means that forget.

use serde::{Deserialize, Serialize};

/// An exponential average by steps, corrected for its start: of the values v_s of steps s up to now, sum d^(now - s)
/// v_s / sum d^(now - s) with d = 1 - 1 / N, so that it looks back over about the last N steps.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunningMean {
    decay: f64,
    sum: f64,
    /// What the weights in the sum add up to.
    weight: f64,
}

impl RunningMean {
    /// Over about the last `steps` steps, at least one.
    pub fn over(steps: f64) -> Self {
        Self { decay: 1.0 - 1.0 / steps.max(1.0), sum: 0.0, weight: 0.0 }
    }

    /// Over a fiftieth of a run of `steps` steps, at least ten: what its training loss is smoothed by wherever it is
    /// shown.
    pub fn of_a_run(steps: u64) -> Self {
        Self::over((steps as f64 / 50.0).max(10.0))
    }

    /// Takes the value of the next step.
    pub fn add(&mut self, value: f64) {
        self.add_after(1, value);
    }

    /// Takes the value of the step that comes `steps` after the last one; those in between have none.
    pub fn add_after(&mut self, steps: u64, value: f64) {
        let kept = self.decay.powf(steps as f64);
        let mix = |sum: f64, new: f64| kept * sum + (1.0 - self.decay) * new;
        (self.sum, self.weight) = (mix(self.sum, value), mix(self.weight, 1.0));
    }

    /// The mean; `None` before the first value.
    pub fn value(&self) -> Option<f64> {
        (self.weight > 0.0).then(|| self.sum / self.weight)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_weighted_mean_by_hand() {
        // d = 3/4.
        let mut mean = RunningMean::over(4.0);
        assert_eq!(mean.value(), None);
        mean.add(8.0);
        assert_eq!(mean.value(), Some(8.0));
        mean.add(1.0);
        assert_eq!(mean.value(), Some((0.75 * 8.0 + 1.0) / 1.75));
        // Two steps later: (27/64 8 + 9/16 1 + 2) / (27/64 + 9/16 + 1).
        mean.add_after(2, 2.0);
        let expected = (27.0 / 64.0 * 8.0 + 9.0 / 16.0 + 2.0) / (27.0 / 64.0 + 9.0 / 16.0 + 1.0);
        assert!((mean.value().unwrap() - expected).abs() < 1e-12, "{mean:?}");
    }

    #[test]
    fn over_one_step_it_is_the_newest_value() {
        let mut mean = RunningMean::over(1.0);
        mean.add(8.0);
        mean.add(3.0);
        assert_eq!(mean.value(), Some(3.0));
    }
}
