//! The result of an entrant, from the log of its run.

use std::path::PathBuf;

use kiln_training::race::Diverged;
use kiln_training::run::Metrics;

/// How much of the running mean of the training loss is kept at each logged step.
const DECAY: f64 = 0.9;

/// An entrant at its end.
#[derive(Debug)]
pub(super) struct Finish {
    pub(super) label: String,
    pub(super) folder: PathBuf,
    pub(super) diverged: Option<Diverged>,
    pub(super) metrics: Metrics,
    pub(super) tokens_per_step: u64,
}

impl Finish {
    /// The validation loss of the last evaluation, nats per token.
    pub(super) fn final_loss(&self) -> Option<f64> {
        self.metrics.evaluations.last().map(|entry| entry.valid_loss)
    }

    /// The lowest validation loss, nats per token.
    pub(super) fn best_loss(&self) -> Option<f64> {
        self.metrics.evaluations.iter().map(|entry| entry.valid_loss).min_by(f64::total_cmp)
    }

    /// The rate of the last update.
    pub(super) fn final_rate(&self) -> Option<f64> {
        self.metrics.steps.last().map(|entry| entry.learning_rate)
    }

    /// Updates made, as far as they are logged.
    pub(super) fn steps(&self) -> u64 {
        self.metrics.steps.last().map_or(0, |entry| entry.step)
    }

    /// Tokens per second over the whole run, training alone.
    pub(super) fn tokens_per_second(&self) -> Option<f64> {
        let mut before = 0;
        let (mut tokens, mut seconds) = (0.0, 0.0);
        for entry in &self.metrics.steps {
            let new = entry.tokens.saturating_sub(before) as f64;
            before = entry.tokens;
            tokens += new;
            seconds += new / entry.tokens_per_second;
        }
        (seconds > 0.0 && seconds.is_finite()).then(|| tokens / seconds)
    }

    /// Tokens trained on and validation loss.
    pub(super) fn validation_curve(&self) -> Vec<(f64, f64)> {
        let point = |step: u64, loss| ((step * self.tokens_per_step) as f64, loss);
        self.metrics.evaluations.iter().map(|entry| point(entry.step, entry.valid_loss)).collect()
    }

    /// Tokens trained on and the running mean of the training loss of logged steps, corrected for its start.
    pub(super) fn training_curve(&self) -> Vec<(f64, f64)> {
        let (mut mean, mut left) = (0.0, 1.0);
        let smoothed = |entry: &kiln_training::run::StepEntry| {
            mean = DECAY * mean + (1.0 - DECAY) * entry.train_loss;
            left *= DECAY;
            (entry.tokens as f64, mean / (1.0 - left))
        };
        self.metrics.steps.iter().map(smoothed).collect()
    }

    /// Tokens trained on and learning rate.
    pub(super) fn rate_curve(&self) -> Vec<(f64, f64)> {
        self.metrics.steps.iter().map(|entry| (entry.tokens as f64, entry.learning_rate)).collect()
    }

    /// The end in one line.
    pub(super) fn words(&self) -> String {
        let Self { label, diverged, .. } = self;
        match (diverged, self.final_loss()) {
            (Some(Diverged { step, what }), _) => format!("{label}: diverged at step {step}, the {what} is not finite"),
            (None, Some(loss)) => format!("{label}: done, validation loss {loss:.4}"),
            (None, None) => format!("{label}: done"),
        }
    }
}

/// The entrants in the order of their final losses, those that diverged last.
pub(super) fn ranked(finishes: &[Finish]) -> Vec<&Finish> {
    let mut ranked: Vec<&Finish> = finishes.iter().collect();
    let key = |finish: &Finish| (finish.diverged.is_some(), finish.final_loss().unwrap_or(f64::INFINITY));
    ranked.sort_by(|a, b| {
        let (a, b) = (key(a), key(b));
        a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
    });
    ranked
}
