//! The training batches as Burn's data loader.

use std::sync::Arc;

use burn::data::dataloader::{DataLoader, DataLoaderIterator, Progress};
use burn::data::dataset::DatasetError;
use burn::tensor::Device;

use super::model::{EvaluationInput, TrainingInput};
use kiln_data::batches::{BatchOrder, EvaluationPlan};
use kiln_data::shards::TokenFile;

/// The batches `first..end` of a run, in the order that [`BatchOrder`] decides.
#[derive(Clone)]
pub(super) struct TrainingLoader {
    order: Arc<BatchOrder>,
    first: u64,
    end: u64,
}

impl TrainingLoader {
    pub(super) fn new(order: Arc<BatchOrder>, first: u64, end: u64) -> Self {
        Self { order, first, end }
    }
}

impl DataLoader<TrainingInput> for TrainingLoader {
    fn iter<'a>(&'a self) -> Box<dyn DataLoaderIterator<TrainingInput> + 'a> {
        let read = |index| self.order.read(index).map(TrainingInput::new).map_err(DatasetError::new);
        Box::new(Batches { read, first: self.first, next: self.first, end: self.end })
    }

    fn num_items(&self) -> usize {
        (self.end - self.first) as usize
    }

    /// Batches are made on the host; the training step puts them on its device.
    fn to_device(&self, _device: &Device) -> Arc<dyn DataLoader<TrainingInput>> {
        Arc::new(self.clone())
    }

    fn slice(&self, start: usize, end: usize) -> Arc<dyn DataLoader<TrainingInput>> {
        let (first, end) = (self.first + start as u64, (self.first + end as u64).min(self.end));
        Arc::new(Self { order: self.order.clone(), first, end })
    }
}

/// The batches of an evaluation, in order.
#[derive(Clone)]
pub struct EvaluationLoader {
    file: TokenFile,
    plan: EvaluationPlan,
    first: u64,
    end: u64,
}

impl EvaluationLoader {
    /// All batches of `plan` for `file`.
    pub fn new(file: TokenFile, plan: EvaluationPlan) -> Self {
        Self { file, plan, first: 0, end: plan.batches() }
    }
}

impl DataLoader<EvaluationInput> for EvaluationLoader {
    fn iter<'a>(&'a self) -> Box<dyn DataLoaderIterator<EvaluationInput> + 'a> {
        let read = |index| self.plan.read(&self.file, index).map(EvaluationInput::new).map_err(DatasetError::new);
        Box::new(Batches { read, first: self.first, next: self.first, end: self.end })
    }

    fn num_items(&self) -> usize {
        (self.end - self.first) as usize
    }

    fn to_device(&self, _device: &Device) -> Arc<dyn DataLoader<EvaluationInput>> {
        Arc::new(self.clone())
    }

    fn slice(&self, start: usize, end: usize) -> Arc<dyn DataLoader<EvaluationInput>> {
        let (first, end) = (self.first + start as u64, (self.first + end as u64).min(self.end));
        Arc::new(Self { first, end, ..self.clone() })
    }
}

struct Batches<R> {
    read: R,
    first: u64,
    next: u64,
    end: u64,
}

impl<T, R: Fn(u64) -> Result<T, DatasetError>> Iterator for Batches<R> {
    type Item = Result<T, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.end {
            return None;
        }
        let batch = (self.read)(self.next);
        self.next += 1;
        Some(batch)
    }
}

impl<T, R: Fn(u64) -> Result<T, DatasetError>> DataLoaderIterator<T> for Batches<R> {
    fn progress(&self) -> Progress {
        Progress::new((self.next - self.first) as usize, (self.end - self.first) as usize, Some("batches".to_string()))
    }
}
