//! Updates for a stopwatch.

use std::sync::Arc;

use burn::data::dataloader::DataLoader;
use burn::module::Module;
use burn::tensor::Device;
use burn::train::Interrupter;
use kiln_models::LanguageModel;

use super::loader::TrainingLoader;
use super::model::TrainingModel;
use super::update::{Measure, Step, UpdateParts, Updater};
use super::{Divergence, TrainError, carries_state};
use crate::config::Config;
use kiln_data::batches::BatchOrder;
use kiln_data::shards::TokenFile;
use kiln_optimization::averaging::Averaging;
use kiln_optimization::schedules::SharedSchedule;

/// The updates that [`train`](super::train) makes, and nothing around them: no run folder, no log, no evaluation, no
/// measurement of `[estimates]`. Each call goes on where the one before ended.
pub struct StepBench {
    updater: Updater,
    order: Arc<BatchOrder>,
    /// The device, without autodiff.
    device: Device,
    /// Updates made so far.
    step: u64,
}

impl StepBench {
    /// Updates of `model`, which is on `device` and without autodiff, on the training split, as `config` says.
    ///
    /// # Errors
    /// When the text is too short for a batch.
    pub fn new(config: &Config, model: LanguageModel, device: Device, train: TokenFile) -> Result<Self, TrainError> {
        let run = &config.run;
        let order = Arc::new(BatchOrder::new(train, run.windows, run.batch, run.context, config.seed)?);
        let parts = UpdateParts {
            seed: config.seed,
            accumulate: run.accumulate,
            clip_norm: run.clip_norm,
            optimizer: config.optimizer.build(),
            averaging: Averaging::new(config.averaging.as_ref()),
            schedule: SharedSchedule::new(config.schedule.build(run.steps)),
            carried: None,
            carries_state: carries_state(&model, run),
            interrupter: Interrupter::new(),
        };
        let updater = Updater::new(TrainingModel { language_model: model }.train(), parts);
        Ok(Self { updater, order, device, step: 0 })
    }

    /// Makes so many updates, at least one, and waits until the device has done them: from reading the batches to the new
    /// weights. Gives the mean loss of the last update's batches before it, nats per token.
    ///
    /// # Errors
    /// When the data or the device fails, or when the loss or the gradient is not finite.
    pub fn run(&mut self, updates: u64) -> Result<f64, TrainError> {
        let (first, end) = (self.step + 1, self.step + updates.max(1));
        let batches = self.updater.parts.accumulate as u64;
        let loader = TrainingLoader::new(self.order.clone(), self.step * batches, end * batches);
        let mut inputs = loader.iter();
        let mut loss = f64::NAN;
        for step in first..=end {
            loss = match self.updater.update(step, &mut *inputs, Measure::default())? {
                Step::Made(update) => update.loss,
                // Nobody stops it.
                Step::Abandoned => break,
                Step::Skipped(fault) => return Err(TrainError::Diverged(Divergence::at(step, fault))),
            };
            self.step = step;
        }
        self.device.sync()?;
        Ok(loss)
    }
}
