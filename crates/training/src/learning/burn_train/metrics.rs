//! What burn-train's dashboard shows beside the learning rate.

use std::sync::Arc;

use burn::tensor::{ExecutionError, TensorReadError};
use burn::train::ItemLazy;
use burn::train::logger::MetricLogger;
use burn::train::metric::state::{FormatOptions, NumericMetricState};
use burn::train::metric::store::{EpochSummary, MetricsUpdate, Split};
use burn::train::metric::{
    Adaptor, Metric, MetricAttributes, MetricDefinition, MetricMetadata, MetricName, Numeric, NumericAttributes,
    NumericEntry, SerializedEntry,
};

/// What is shown of an update or an evaluation, on the host already.
#[derive(Debug, Clone, Default)]
pub(super) struct Shown {
    /// Mean loss, nats per token.
    pub(super) loss: f64,
    /// Global gradient norm before clipping.
    pub(super) gradient_norm: f64,
    /// Tokens per second of training.
    pub(super) tokens_per_second: f64,
    /// The newest sample.
    pub(super) sample: Option<Arc<str>>,
}

impl ItemLazy for Shown {
    fn sync(self) -> Result<Self, ExecutionError> {
        Ok(self)
    }
}

impl Adaptor<Self> for Shown {
    fn adapt(&self) -> Self {
        self.clone()
    }
}

/// A number out of [`Shown`].
#[derive(Clone)]
pub(super) struct Number {
    name: MetricName,
    unit: Option<&'static str>,
    value: fn(&Shown) -> f64,
    state: NumericMetricState,
}

impl Number {
    /// The loss, of training or of an evaluation.
    pub(super) fn loss() -> Self {
        Self::new("Loss", None, |shown| shown.loss)
    }

    pub(super) fn gradient_norm() -> Self {
        Self::new("Gradient Norm", None, |shown| shown.gradient_norm)
    }

    pub(super) fn tokens_per_second() -> Self {
        Self::new("Tokens per Second", Some("tokens/s"), |shown| shown.tokens_per_second)
    }

    fn new(name: &str, unit: Option<&'static str>, value: fn(&Shown) -> f64) -> Self {
        Self { name: Arc::new(name.to_string()), unit, value, state: NumericMetricState::default() }
    }
}

impl Metric for Number {
    type Input = Shown;

    fn name(&self) -> MetricName {
        self.name.clone()
    }

    fn attributes(&self) -> MetricAttributes {
        NumericAttributes { unit: self.unit.map(str::to_string), higher_is_better: self.unit.is_some() }.into()
    }

    fn update(&mut self, item: &Shown, _: &MetricMetadata) -> Result<SerializedEntry, TensorReadError> {
        self.state.update((self.value)(item), 1);
        Ok(self.state.compute_update(FormatOptions::new(self.name()).precision(4)))
    }

    fn compute(&mut self) -> Result<SerializedEntry, TensorReadError> {
        Ok(self.state.compute_final(FormatOptions::new(self.name()).precision(4)))
    }

    fn clear(&mut self) {
        self.state.reset();
    }
}

impl Numeric for Number {
    fn value(&self) -> Option<NumericEntry> {
        Some(self.state.current_value())
    }

    fn running_value(&self) -> Option<NumericEntry> {
        Some(self.state.running_value())
    }

    fn final_value(&self) -> NumericEntry {
        self.state.final_value()
    }
}

/// The newest sample, as text.
#[derive(Clone)]
pub(super) struct SampleText {
    name: MetricName,
    newest: Arc<str>,
}

impl SampleText {
    pub(super) fn new() -> Self {
        Self { name: Arc::new("Sample".to_string()), newest: Arc::from("") }
    }

    fn entry(&self) -> SerializedEntry {
        SerializedEntry::new(self.newest.to_string(), self.newest.to_string())
    }
}

impl Metric for SampleText {
    type Input = Shown;

    fn name(&self) -> MetricName {
        self.name.clone()
    }

    fn update(&mut self, item: &Shown, _: &MetricMetadata) -> Result<SerializedEntry, TensorReadError> {
        if let Some(sample) = &item.sample {
            self.newest = sample.clone();
        }
        Ok(self.entry())
    }

    fn compute(&mut self) -> Result<SerializedEntry, TensorReadError> {
        Ok(self.entry())
    }

    fn clear(&mut self) {}
}

/// Keeps burn-train from writing log files of its own: `metrics.jsonl` is written by the loop.
pub(super) struct NoFiles;

impl MetricLogger for NoFiles {
    fn log(&mut self, _update: MetricsUpdate, _epoch: usize, _split: &Split) {}

    fn read_numeric(&mut self, name: &str, _epoch: usize, _split: &Split) -> Result<Vec<NumericEntry>, String> {
        Err(format!("{name} is not logged here"))
    }

    fn log_metric_definition(&mut self, _definition: MetricDefinition) {}

    fn log_epoch_summary(&mut self, _summary: EpochSummary) {}
}
