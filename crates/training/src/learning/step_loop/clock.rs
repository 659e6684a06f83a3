//! Where the time goes.

use std::time::{Duration, Instant};

use crate::run::LoopState;

/// Training alone for the speed, everything for the time that remains.
pub(super) struct Clock {
    started: Instant,
    /// Updates made before the start or resumption.
    pub(super) first_step: u64,
    /// Time spent training since the last line of the log.
    pub(super) training: Duration,
    /// Tokens trained on before that line.
    logged_tokens: u64,
}

impl Clock {
    /// Starts now.
    pub(super) fn starting(state: &LoopState) -> Self {
        let (started, training) = (Instant::now(), Duration::ZERO);
        Self { started, first_step: state.step, training, logged_tokens: state.tokens }
    }

    /// The speed since the last line of the log.
    pub(super) fn tokens_per_second(&self, tokens: u64) -> f64 {
        (tokens - self.logged_tokens) as f64 / self.training.as_secs_f64()
    }

    /// Seconds from update number `step` to number `steps` at the pace since the start or resumption.
    pub(super) fn remaining_seconds(&self, step: u64, steps: u64) -> f64 {
        let pace = self.started.elapsed().as_secs_f64() / (step - self.first_step) as f64;
        pace * (steps - step) as f64
    }

    /// Begins to measure the speed anew.
    pub(super) fn restart_speed(&mut self, tokens: u64) {
        self.training = Duration::ZERO;
        self.logged_tokens = tokens;
    }
}
