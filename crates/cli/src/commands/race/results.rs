//! What came of an entrant, from the log of its run.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context;
use kiln_settings::files::{Content, Links, read_regular};
use kiln_storage::layout::DIVERGED_FILE;
use kiln_training::run::Metrics;
use serde::{Deserialize, Serialize};

/// How much of the running mean of the training loss is kept at each logged step.
const DECAY: f64 = 0.9;

/// It holds a number and a few words.
const LONGEST_NOTE: u64 = 1 << 16;

/// Where an entrant diverged. It is kept, so that a resumed race does not let it diverge again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Diverged {
    /// The update that was not made.
    pub(crate) step: u64,
    /// What was not finite.
    pub(crate) what: String,
}

/// An entrant at its end.
#[derive(Debug)]
pub(super) struct Finish {
    pub(super) label: String,
    pub(super) folder: PathBuf,
    pub(super) diverged: Option<Diverged>,
    pub(super) metrics: Metrics,
    pub(super) tokens_per_step: u64,
}

impl Diverged {
    /// What was noted in an entrant's folder, if it happened within so many steps.
    pub(crate) fn read(folder: &Path, steps: u64) -> anyhow::Result<Option<Self>> {
        let path = folder.join(DIVERGED_FILE);
        let bytes = match read_regular(&path, Links::Followed, LONGEST_NOTE) {
            Ok(Content::Bytes(bytes)) => bytes,
            Ok(_) => anyhow::bail!("{} is no file of at most {LONGEST_NOTE} bytes", path.display()),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let diverged: Self =
            serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged", path.display()))?;
        Ok(Some(diverged).filter(|diverged| diverged.step <= steps))
    }

    pub(super) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        let path = folder.join(DIVERGED_FILE);
        std::fs::write(&path, serde_json::to_vec(self)?).with_context(|| format!("cannot write {}", path.display()))
    }
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
