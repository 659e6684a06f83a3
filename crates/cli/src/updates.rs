//! How long the updates of a training take.

use std::collections::BTreeMap;
use std::time::Instant;

use burn::module::Module;
use kiln_data::batches::BatchOrder;
use kiln_data::shards::PreparedData;
use kiln_kernels::count_launches;
use kiln_models::LanguageModel;
use kiln_training::config::Config;
use kiln_training::learning::{Trainer, TrainingInput, training_loss, training_step};
use serde::Serialize;

use crate::beginnings;
use crate::device::Chosen;

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
        let model = beginnings::drawn_model(config, data, chosen)?;
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

    /// How many kernels an update launches, after two updates at least, so that nothing is tuned and no state is new.
    pub(crate) fn launches(&mut self, config: &Config, data: &PreparedData) -> anyhow::Result<Launches> {
        self.trainer.updates(2)?;
        let (made, kernels) = count_launches(|| self.trainer.updates(1));
        made?;
        let run = &config.run;
        let order = BatchOrder::new(data.train.clone(), run.windows, run.batch, run.context, config.seed)?;
        let model = self.model().train();
        let input = TrainingInput {
            share: 1.0 / run.accumulate as f64,
            dropout_seed: Some(config.seed),
            recompute: run.recompute,
            ..TrainingInput::new(order.read(0)?)
        };
        // Twice, since the first time may tune what the update did otherwise.
        let [mut forward, mut both] = [0, 0];
        for _ in 0..2 {
            let (loss, counts) = count_launches(|| {
                let loss = training_loss(&model, input.clone()).0;
                model.device().sync().map(|()| loss)
            });
            loss?;
            forward = counts.values().sum();
            let (step, counts) = count_launches(|| {
                let step = training_step(&model, input.clone());
                model.device().sync().map(|()| step)
            });
            step?;
            both = counts.values().sum();
        }
        Ok(Launches::new(kernels, [forward, both], run.accumulate as u64))
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

/// The kernels that an update launches on a GPU.
#[derive(Debug, Serialize)]
pub(crate) struct Launches {
    /// In all.
    pub(crate) update: u64,
    /// In the forward passes of all batches.
    pub(crate) forward: u64,
    /// In their backward passes.
    pub(crate) backward: u64,
    /// In the rest: means over batches, the norm, the guard, the optimizer, the average.
    pub(crate) norm_and_optimizer: u64,
    /// In all, by name.
    pub(crate) kernels: BTreeMap<String, u64>,
}

impl Launches {
    /// Of the kernels of an update of `batches` batches, each of which takes so many for its forward pass, and for both
    /// passes.
    fn new(kernels: BTreeMap<String, u64>, [forward, both]: [u64; 2], batches: u64) -> Self {
        let update: u64 = kernels.values().sum();
        let rest = update.saturating_sub(batches * both);
        Self {
            update,
            forward: batches * forward,
            backward: batches * both.saturating_sub(forward),
            norm_and_optimizer: rest,
            kernels,
        }
    }
}
