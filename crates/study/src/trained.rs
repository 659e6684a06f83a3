//! Models trained on a text.

use burn::tensor::Device;
use kiln_data::batches::EvaluationPlan;
use kiln_data::shards::PreparedData;
use kiln_models::{LanguageModel, ModelConfig};
use kiln_training::evaluation::evaluate;
use kiln_training::learning::{TrainError, Trainer};

use crate::config::{NamedModel, Study};
use crate::error::StudyError;
use crate::studies::Progress;

/// Updates between two reports of progress.
const PORTION: u64 = 20;

/// A training that stops where it is asked to.
pub(crate) struct Training<'a> {
    trainer: Trainer,
    name: &'a str,
    repeat: usize,
    steps: u64,
}

impl<'a> Training<'a> {
    /// Of a model of a study, with the seed of a repeat, for `steps` updates in all.
    pub(crate) fn new(
        study: &Study,
        NamedModel { name, model }: &'a NamedModel,
        repeat: usize,
        steps: u64,
        text: &PreparedData,
        device: &Device,
    ) -> Result<Self, StudyError> {
        let mut config = study.training(model, repeat);
        config.run.steps = steps;
        let fresh = config.model.init(text.tokenizer.vocabulary_size(), config.run.context, config.seed, device);
        let trainer = Trainer::new(&config, fresh, text.train.clone());
        let trainer = trainer.map_err(|source| failed(name, repeat, source))?;
        Ok(Self { trainer, name, repeat, steps })
    }

    /// Trains until so many updates are made. Gives the losses of portions, with the updates made before each ended.
    pub(crate) fn until(&mut self, step: u64, progress: &mut Progress<'_>) -> Result<Vec<(u64, f64)>, StudyError> {
        let mut losses = Vec::new();
        while self.trainer.step() < step {
            let portion = PORTION.min(step - self.trainer.step());
            let update = self.trainer.updates(portion).map_err(|source| failed(self.name, self.repeat, source))?;
            losses.push((self.trainer.step(), update.loss));
            progress.within(self.trainer.step() as f64 / self.steps as f64)?;
        }
        Ok(losses)
    }

    /// Trains to the end.
    pub(crate) fn finished(mut self, progress: &mut Progress<'_>) -> Result<LanguageModel, StudyError> {
        self.until(self.steps, progress)?;
        progress.next()?;
        Ok(self.trainer.model())
    }

    /// The model as it is now.
    pub(crate) fn model(&self) -> LanguageModel {
        self.trainer.model()
    }
}

fn failed(name: &str, repeat: usize, source: TrainError) -> StudyError {
    StudyError::Training { name: name.to_owned(), repeat: repeat + 1, source: Box::new(source) }
}

/// The loss on the validation split, nats per token and nats per character.
pub(crate) fn validation_loss(
    study: &Study,
    model: &LanguageModel,
    text: &PreparedData,
) -> Result<[f64; 2], StudyError> {
    let run = &study.run;
    let carries_state = model.carries_state_between_windows();
    let plan = EvaluationPlan::new(&text.validation, run.evaluate_fraction, run.batch, run.context, carries_state)?;
    let found = evaluate(model, &text.validation, &plan.into(), &mut |_| true)?;
    Ok(found.map_or([f64::NAN; 2], |found| [found.loss, found.nats_per_character]))
}

/// Parameters of a model on a text.
pub(crate) fn parameters(study: &Study, model: &ModelConfig, text: &PreparedData) -> u64 {
    model.parameter_count(text.tokenizer.vocabulary_size(), study.run.context)
}
