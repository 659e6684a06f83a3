//! Training in memory.

use burn::tensor::Device;
use kiln_data::shards::TokenFile;
use kiln_models::LanguageModel;
use kiln_optimization::schedules::Schedule;

use super::gradients::Measure;
use super::pending::Pending;
use super::update::{Step, Update, Updater};
use super::{Divergence, Teacher, TrainError};
use crate::config::Config;

/// The updates that [`train`](super::train) makes, and nothing around them: no run folder, no log, no evaluation, no
/// measurement of `[estimates]`.
///
/// ```
/// # use std::error::Error;
/// use burn::tensor::Device;
/// use kiln_data::shards::TokenFile;
/// use kiln_models::Tokenizer;
/// use kiln_settings::Source;
/// use kiln_training::config::Config;
/// use kiln_training::learning::Trainer;
///
/// # fn main() -> Result<(), Box<dyn Error>> {
/// let text = "the quick brown fox jumps over the lazy dog. ".repeat(20);
/// let config = "
///     [tokenizer.character]
///     [model.gru]
///     layers = 1
///     hidden = 8
///     [optimizer.adamw]
///     [schedule.constant]
///     rate = 0.01
///     [run]
///     steps = 10
///     batch = 2
///     context = 8
/// ";
/// let config = Config::read_without_data(&Source::new("example", config.to_string()))?;
/// let tokenizer = Tokenizer::train(&config.tokenizer, &mut std::iter::once(Ok(text.clone())))?;
/// let tokens = TokenFile::in_memory(&text, &tokenizer)?;
/// let model = config.model.init(tokenizer.vocabulary_size(), config.run.context, config.seed, &Device::flex());
/// let mut trainer = Trainer::new(&config, model, tokens)?;
/// let first = trainer.update()?;
/// let tenth = trainer.updates(9)?;
/// assert!(tenth.loss < first.loss);
/// # Ok(())
/// # }
/// ```
pub struct Trainer {
    updater: Updater,
    /// The device, without autodiff.
    device: Device,
    /// Updates made so far.
    step: u64,
}

impl Trainer {
    /// Updates of `model`, which is without autodiff, on the training split `train`, as `config` says; `[data]`, and
    /// everything in `[run]` that isn't about updates, is ignored.
    ///
    /// # Errors
    /// When the text is too short for a batch.
    pub fn new(config: &Config, model: LanguageModel, train: TokenFile) -> Result<Self, TrainError> {
        let device = model.device();
        Ok(Self { updater: Updater::new(config, model, train)?, device, step: 0 })
    }

    /// The same with a schedule of one's own in the place of that of `[schedule]`.
    #[must_use]
    pub fn with_schedule(mut self, schedule: Box<dyn Schedule>) -> Self {
        self.updater.schedule = schedule;
        self
    }

    /// The same, learning from a teacher too.
    #[must_use]
    pub fn with_teacher(mut self, teacher: Teacher) -> Self {
        self.updater = self.updater.with_teacher(Some(teacher));
        self
    }

    /// Makes the next update. The device may still be working on the new weights when this returns.
    ///
    /// # Errors
    /// When the data or the device fails, or when the loss or the gradient is not finite.
    pub fn update(&mut self) -> Result<Update, TrainError> {
        let pending = self.begin(None)?;
        self.finish(pending)
    }

    /// Makes `count` updates, at least one, and waits until the device has finished them: from reading the batches to
    /// the new weights. Gives the last one.
    ///
    /// # Errors
    /// As [`Trainer::update`].
    pub fn updates(&mut self, count: u64) -> Result<Update, TrainError> {
        let mut pending = self.begin(None)?;
        for _ in 1..count {
            let waits = self.updater.waits(Measure::default());
            let next = if waits {
                self.finish(pending)?;
                self.begin(None)?
            } else {
                let next = self.begin(Some(&pending))?;
                self.finish(pending)?;
                next
            };
            pending = next;
        }
        let update = self.finish(pending)?;
        self.device.sync()?;
        Ok(update)
    }

    /// Hands the device the next update; another one may be on its way.
    fn begin(&mut self, on_its_way: Option<&Pending>) -> Result<Pending, TrainError> {
        let step = on_its_way.map_or(self.step, |earlier| earlier.step) + 1;
        let first_batch = (step - 1) * self.updater.accumulate;
        let begun = self.updater.begin(step, first_batch, Measure::default(), on_its_way, &|| false)?;
        begun.ok_or(TrainError::NoBatch)
    }

    fn finish(&mut self, pending: Pending) -> Result<Update, TrainError> {
        let step = pending.step;
        match self.updater.finish(pending, None)?.0 {
            Step::Made(update) => {
                self.step = step;
                Ok(update)
            }
            Step::Skipped(fault) => Err(TrainError::Diverged(Divergence::at(step, fault))),
        }
    }

    /// Updates made so far.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// The model as it is to be used, without autodiff: with averaged weights if `[averaging]` or the optimizer has
    /// any.
    pub fn model(&self) -> LanguageModel {
        self.updater.finished_model()
    }
}
