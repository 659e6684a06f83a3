//! The curves of a run, along steps, tokens or seconds.

use clap::ValueEnum;
use kiln_training::RunningMean;
use kiln_training::run::{EvaluationEntry, StepEntry};

use super::RecordedRun;

/// What a curve is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Curve {
    /// The loss on the validation split
    Validation,
    /// The loss of the batches, a running mean over the logged steps
    Training,
    /// The learning rate
    Rate,
    /// The norm of the gradient before clipping
    Norm,
}

/// What a curve runs along.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Along {
    /// Updates
    Step,
    /// Tokens trained on
    #[default]
    Token,
    /// Seconds of training, without evaluations and saving
    Second,
}

impl Along {
    /// The label of the axis.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Step => "steps",
            Self::Token => "tokens",
            Self::Second => "seconds of training",
        }
    }
}

impl RecordedRun {
    /// The points of a curve but for that of evaluations.
    pub(super) fn step_points(&self, along: Along, value: impl FnMut(&StepEntry) -> f64) -> Vec<(f64, f64)> {
        let place = self.places(along);
        let steps = &self.metrics.steps;
        steps.iter().map(|entry| place(entry.step)).zip(steps.iter().map(value)).collect()
    }

    /// The points of the evaluations.
    pub(super) fn evaluation_points(&self, along: Along, value: impl Fn(&EvaluationEntry) -> f64) -> Vec<(f64, f64)> {
        let place = self.places(along);
        self.metrics.evaluations.iter().map(|entry| (place(entry.step), value(entry))).collect()
    }

    /// The training loss, smoothed as while training.
    pub(super) fn smoothed_loss(&self, along: Along) -> Vec<(f64, f64)> {
        let (mut mean, mut before) = (RunningMean::of_a_run(self.config.run.steps), 0);
        self.step_points(along, |entry| {
            mean.add_after(entry.step.saturating_sub(before), entry.train_loss);
            before = entry.step;
            mean.value().unwrap_or(entry.train_loss)
        })
    }

    /// Where a step lies.
    fn places(&self, along: Along) -> impl Fn(u64) -> f64 {
        let (clock, tokens) = (self.clock(), self.config.run.tokens_per_step());
        move |step| match along {
            Along::Step => step as f64,
            Along::Token => (step * tokens) as f64,
            Along::Second => seconds_at(&clock, step),
        }
    }
}

/// The seconds until a step, on a straight line between the logged ones around it.
fn seconds_at(clock: &[(u64, f64)], step: u64) -> f64 {
    let after = clock.partition_point(|(logged, _)| *logged < step);
    let before = after.checked_sub(1).map_or((0, 0.0), |index| clock[index]);
    let Some(&next) = clock.get(after) else { return before.1 };
    before.1 + (next.1 - before.1) * (step - before.0) as f64 / (next.0 - before.0) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_lie_on_a_line_between_logged_steps_and_stand_still_after_the_last() {
        let clock = [(1, 2.0), (10, 6.5), (20, 8.5)];
        let at = [0, 1, 4, 10, 15, 20, 25].map(|step| seconds_at(&clock, step));
        assert_eq!(at, [0.0, 2.0, 3.5, 6.5, 7.5, 8.5, 8.5]);
        assert_eq!(seconds_at(&[], 5), 0.0);
    }
}
