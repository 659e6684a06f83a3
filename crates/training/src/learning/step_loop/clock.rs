//! Where the time goes, and how much of it is left.

use std::time::Duration;

use crate::run::LoopState;
use crate::running_mean::RunningMean;

/// A pass forward over a part of a training step's tokens takes a third of what the step took for them: the pass
/// backward is two products for each one forward. It stands for evaluations until one was timed.
const FORWARD_SHARE: f64 = 1.0 / 3.0;
/// What a token of a sample takes, in training steps, until a sample was timed.
const TOKEN_SHARE: f64 = 0.03;

/// Training alone for the speed, everything for the time that is left.
pub(super) struct Clock {
    /// Updates made before the start or resumption.
    pub(super) first_step: u64,
    /// Time spent training since the last line of the log.
    training: Duration,
    /// Tokens trained on before that line.
    logged_tokens: u64,
    /// Seconds of a step, measurements included, over about the last third of the run: short enough to notice another
    /// pace that stays, long enough to take out other programs that come and go.
    pace: RunningMean,
    pub(super) evaluating: Activity,
    pub(super) sampling: Activity,
    pub(super) saving: Activity,
}

/// Something that is done again and again.
#[derive(Default)]
pub(super) struct Activity {
    times: u64,
    seconds: f64,
}

impl Activity {
    /// It was done once more.
    pub(super) fn add(&mut self, time: Duration) {
        self.times += 1;
        self.seconds += time.as_secs_f64();
    }

    /// Seconds each time, `expected` if it was never done.
    fn each(&self, expected: f64) -> f64 {
        if self.times == 0 { expected } else { self.seconds / self.times as f64 }
    }
}

/// What is still to be done.
pub(super) struct Ahead {
    pub(super) step: u64,
    pub(super) steps: u64,
    pub(super) evaluate_every: u64,
    /// What an evaluation reads, in batches of a step.
    pub(super) evaluation_batches: f64,
    pub(super) sample_every: Option<u64>,
    /// What all samples of one time have, over the batches of a step.
    pub(super) sample_tokens: f64,
    pub(super) checkpoint_every: u64,
}

impl Ahead {
    /// How often something is due from here on that is due every so many steps and after the last one.
    fn times(&self, every: u64) -> f64 {
        let whole = self.steps / every - self.step / every;
        let last = u64::from(!self.steps.is_multiple_of(every) && self.step < self.steps);
        (whole + last) as f64
    }
}

impl Clock {
    /// Before the first step of a session.
    pub(super) fn starting(state: &LoopState, steps: u64) -> Self {
        Self {
            first_step: state.step,
            training: Duration::ZERO,
            logged_tokens: state.tokens,
            pace: RunningMean::over((steps as f64 / 3.0).max(20.0)),
            evaluating: Activity::default(),
            sampling: Activity::default(),
            saving: Activity::default(),
        }
    }

    /// After a return to an earlier step; the pace is what it was.
    pub(super) fn resume(&mut self, state: &LoopState) {
        self.first_step = state.step;
        self.restart_speed(state.tokens);
    }

    /// A step took this long, of which a part went into measuring.
    pub(super) fn made_step(&mut self, step: u64, took: Duration, measuring: Duration) {
        self.training += took.saturating_sub(measuring);
        // The first one of a session prepares what the others use.
        if step > self.first_step + 1 {
            self.pace.add(took.as_secs_f64());
        }
    }

    /// The speed since the last line of the log.
    pub(super) fn tokens_per_second(&self, tokens: u64) -> f64 {
        (tokens - self.logged_tokens) as f64 / self.training.as_secs_f64()
    }

    /// Seconds to the end: the steps at their pace, and each evaluation, sample and checkpoint that is due as long as
    /// those before it, or as it is expected to take. `None` before the second step of a session.
    pub(super) fn remaining_seconds(&self, ahead: &Ahead) -> Option<f64> {
        let step = self.pace.value()?;
        let evaluation = self.evaluating.each(FORWARD_SHARE * step * ahead.evaluation_batches);
        let sample = self.sampling.each(TOKEN_SHARE * step * ahead.sample_tokens);
        let samples = ahead.sample_every.map_or(0.0, |every| ahead.times(every));
        Some(
            step * (ahead.steps - ahead.step) as f64
                + evaluation * ahead.times(ahead.evaluate_every)
                + sample * samples
                + self.saving.each(0.0) * ahead.times(ahead.checkpoint_every),
        )
    }

    /// Begins to measure the speed anew.
    pub(super) fn restart_speed(&mut self, tokens: u64) {
        self.training = Duration::ZERO;
        self.logged_tokens = tokens;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ahead(step: u64) -> Ahead {
        Ahead {
            step,
            steps: 1050,
            evaluate_every: 100,
            evaluation_batches: 30.0,
            sample_every: Some(500),
            sample_tokens: 100.0,
            checkpoint_every: 200,
        }
    }

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn what_is_due_is_counted_with_the_last_step() {
        // After steps 900, 1000 and 1050.
        assert_eq!(ahead(850).times(100), 3.0);
        assert_eq!(ahead(1000).times(100), 1.0);
        assert_eq!(ahead(0).times(1050), 1.0);
        assert_eq!(ahead(1050).times(100), 0.0);
    }

    #[test]
    fn the_time_left_is_that_of_steps_evaluations_samples_and_saving() {
        let mut clock = Clock::starting(&LoopState::default(), 1050);
        clock.made_step(1, seconds(60.0), Duration::ZERO);
        assert_eq!(clock.remaining_seconds(&ahead(1)), None);
        clock.made_step(2, seconds(2.0), Duration::ZERO);
        // 1000 steps of 2 s; after 100, ..., 1050 an evaluation of 30 batches, a third of a step each; samples after
        // 500, 1000 and 1050 of 100 tokens, 3 % of a step each.
        let left = clock.remaining_seconds(&ahead(50)).unwrap();
        assert!((left - (2000.0 + 11.0 * 20.0 + 3.0 * 6.0)).abs() < 1e-9, "{left}");
        // Once they were timed: 50 s and 70 s; 10 s; 4 s.
        clock.evaluating.add(seconds(50.0));
        clock.evaluating.add(seconds(70.0));
        clock.sampling.add(seconds(10.0));
        clock.saving.add(seconds(4.0));
        let left = clock.remaining_seconds(&ahead(1000)).unwrap();
        assert!((left - (100.0 + 60.0 + 10.0 + 4.0)).abs() < 1e-9, "{left}");
    }
}
