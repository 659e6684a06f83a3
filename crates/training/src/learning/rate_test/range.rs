//! The rates of a range test.

use kiln_optimization::schedules::{Schedule, ScheduleStateError};

/// Rates from `from` to `to` in `steps` steps, each the same multiple of the one before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateRange {
    from: f64,
    to: f64,
    /// How many rates are tried.
    pub(super) steps: u64,
}

impl RateRange {
    /// The fewest rates that show where a loss falls and where it rises.
    pub const FEWEST_STEPS: u64 = 20;

    /// The rates from `from` to `to`.
    ///
    /// # Errors
    /// A sentence for the user when this isn't a range.
    pub fn new(from: f64, to: f64, steps: u64) -> Result<Self, String> {
        let is_rate = |rate: f64| rate > 0.0 && rate.is_finite();
        if !(is_rate(from) && is_rate(to)) {
            return Err(format!("rates must be above 0 and finite, but the range is from {from} to {to}"));
        }
        if from >= to {
            return Err(format!("the first rate ({from:e}) must be below the last one ({to:e})"));
        }
        if steps < Self::FEWEST_STEPS {
            return Err(format!("a range test needs at least {} steps, not {steps}", Self::FEWEST_STEPS));
        }
        Ok(Self { from, to, steps })
    }

    /// Rate number `step`, from 1: from (to / from)^((step - 1) / (steps - 1)).
    pub fn rate(&self, step: u64) -> f64 {
        if step >= self.steps {
            // Not by the formula, which could miss it by rounding.
            return self.to;
        }
        let fraction = (step.max(1) - 1) as f64 / (self.steps - 1) as f64;
        self.from * (self.to / self.from).powf(fraction)
    }

    /// The first rate.
    pub fn from(&self) -> f64 {
        self.from
    }

    /// The last rate.
    pub fn to(&self) -> f64 {
        self.to
    }
}

/// The range as a schedule. It is never saved.
pub(super) struct Rise {
    range: RateRange,
    step: u64,
}

impl Rise {
    pub(super) fn new(range: RateRange) -> Self {
        Self { range, step: 0 }
    }
}

impl Schedule for Rise {
    fn next_rate(&mut self) -> f64 {
        self.step += 1;
        self.range.rate(self.step)
    }

    fn state(&self) -> serde_json::Value {
        self.step.into()
    }

    fn restore(&mut self, state: serde_json::Value) -> Result<(), ScheduleStateError> {
        self.step = serde_json::from_value(state)?;
        Ok(())
    }
}
