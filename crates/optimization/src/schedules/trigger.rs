//! When a validation loss has stopped falling.

use serde::{Deserialize, Serialize};

/// The non-monotone criterion of NT-ASGD (Merity, Keskar and Socher, "Regularizing and Optimizing LSTM Language
/// Models",
/// 2018, Algorithm 1), with the comparison that the program published with the paper makes: a loss triggers when it is
/// worse than the best of all losses before it but the last `patience`.
///
/// One bad evaluation among good ones does therefore not trigger; a loss that stands still for long enough does, as
/// soon
/// as noise carries it above its old best.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NonMonotoneTrigger {
    patience: usize,
    losses: Vec<f64>,
}

impl NonMonotoneTrigger {
    /// A trigger that has seen nothing.
    pub fn new(patience: usize) -> Self {
        Self { patience, losses: Vec::new() }
    }

    /// Takes in the next loss v, the t-th from 0; true if t > n and v > min(v_0 .. v_{t-n-1}), n being the patience.
    ///
    /// It keeps counting after it has triggered; [`NonMonotoneTrigger::reset`] makes it forget.
    pub fn observe(&mut self, loss: f64) -> bool {
        let old = self.losses.len().saturating_sub(self.patience);
        let triggered = self.losses[..old].iter().any(|before| loss > *before);
        self.losses.push(loss);
        triggered
    }

    /// Forgets all losses, for what has to be triggered again.
    pub fn reset(&mut self) {
        self.losses.clear();
    }

    /// The same losses under another patience: a saved state resumes under the one that is configured.
    #[must_use]
    pub fn with_patience(self, patience: usize) -> Self {
        Self { patience, ..self }
    }

    /// How many of the newest losses a loss is not compared with.
    pub fn patience(&self) -> usize {
        self.patience
    }

    /// Every loss so far, the oldest first.
    pub fn losses(&self) -> &[f64] {
        &self.losses
    }
}
