//! How long the updates of a training take.

use std::time::Instant;

use kiln_data::shards::PreparedData;
use kiln_models::LanguageModel;
use kiln_training::config::Config;
use kiln_training::learning::Trainer;

use crate::device::Chosen;
use crate::runs;

/// A training in memory whose updates are timed in rounds. An update is what `kiln train` does in one.
pub(crate) struct TimedUpdates {
    trainer: Trainer,
    /// Seconds an update took, by rounds.
    seconds: Vec<f64>,
    loss: f64,
}

impl TimedUpdates {
    /// Of the configuration's model with its first weights.
    pub(crate) fn new(config: &Config, data: &PreparedData, chosen: &Chosen) -> anyhow::Result<Self> {
        let model = runs::first_model(config, data, chosen);
        let trainer = Trainer::new(config, model, data.train.clone())?;
        Ok(Self { trainer, seconds: Vec::new(), loss: f64::NAN })
    }

    /// Makes updates that are not timed.
    pub(crate) fn warm_up(&mut self, updates: u64) -> anyhow::Result<()> {
        if updates > 0 {
            self.trainer.updates(updates)?;
        }
        Ok(())
    }

    /// Makes and times updates, at least one.
    pub(crate) fn round(&mut self, updates: u64) -> anyhow::Result<()> {
        let started = Instant::now();
        self.loss = self.trainer.updates(updates)?.loss;
        self.seconds.push(started.elapsed().as_secs_f64() / updates as f64);
        Ok(())
    }

    /// The model as it is now.
    pub(crate) fn model(&self) -> LanguageModel {
        self.trainer.model()
    }

    /// Seconds an update took, by rounds.
    pub(crate) fn seconds(&self) -> &[f64] {
        &self.seconds
    }

    /// Mean loss of the last update's batches before it, nats per token.
    pub(crate) fn loss(&self) -> f64 {
        self.loss
    }
}
