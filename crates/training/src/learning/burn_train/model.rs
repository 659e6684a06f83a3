//! What burn-train wants of a model and its data, and the loop does without.

use std::sync::Arc;

use burn::data::dataloader::{DataLoader, DataLoaderIterator, Progress};
use burn::data::dataset::DatasetError;
use burn::module::Module;
use burn::tensor::Device;
use burn::train::{InferenceStep, TrainOutput, TrainStep};
use kiln_models::LanguageModel;

use super::metrics::Shown;

/// The language model as a learner holds it.
#[derive(Module, Debug)]
pub(super) struct LearnerModel {
    pub(super) language_model: LanguageModel,
}

/// A batch that burn-train would pass around. There is none: the loop reads its own, by number.
#[derive(Debug, Clone, Copy)]
pub(super) enum NoBatch {}

impl TrainStep for LearnerModel {
    type Input = NoBatch;
    type Output = Shown;

    fn step(&self, input: NoBatch) -> TrainOutput<Shown> {
        match input {}
    }
}

impl InferenceStep for LearnerModel {
    type Input = NoBatch;
    type Output = Shown;

    fn step(&self, input: NoBatch) -> Shown {
        match input {}
    }
}

/// No batches, as a data loader and its iterator.
pub(super) struct NoBatches;

impl DataLoader<NoBatch> for NoBatches {
    fn iter<'a>(&'a self) -> Box<dyn DataLoaderIterator<NoBatch> + 'a> {
        Box::new(Self)
    }

    fn num_items(&self) -> usize {
        0
    }

    fn to_device(&self, _device: &Device) -> Arc<dyn DataLoader<NoBatch>> {
        Arc::new(Self)
    }

    fn slice(&self, _start: usize, _end: usize) -> Arc<dyn DataLoader<NoBatch>> {
        Arc::new(Self)
    }
}

impl Iterator for NoBatches {
    type Item = Result<NoBatch, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        None
    }
}

impl DataLoaderIterator<NoBatch> for NoBatches {
    fn progress(&self) -> Progress {
        Progress::new(0, 0, None)
    }
}
