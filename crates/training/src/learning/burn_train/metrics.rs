//! What burn-train's metrics are, by the names that its renderer gets them by: of every update in the order of this
//! page.

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

/// The loss of a batch, or of an evaluation.
pub const LOSS: &str = "Loss";
/// The rate of the update, by burn-train's own metric.
pub const LEARNING_RATE: &str = "Learning Rate";
/// The global gradient norm before clipping.
pub const GRADIENT_NORM: &str = "Gradient Norm";
/// Tokens per second of training.
pub const TOKENS_PER_SECOND: &str = "Tokens per Second";
/// Seconds to the end; not a number before the pace is known.
pub const SECONDS_LEFT: &str = "Seconds Left";
/// The number of the update; the last of its metrics.
pub const STEP: &str = "Step";

/// What is shown of an update or an evaluation, on the host already.
#[derive(Debug, Clone, Default)]
pub(super) struct Shown {
    /// Mean loss, nats per token.
    pub(super) loss: f64,
    /// Global gradient norm before clipping.
    pub(super) gradient_norm: f64,
    /// Tokens per second of training.
    pub(super) tokens_per_second: f64,
    /// Seconds to the end; not a number before the pace is known.
    pub(super) seconds_left: f64,
    /// The number of the update.
    pub(super) step: u64,
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
        Self::new(LOSS, None, |shown| shown.loss)
    }

    pub(super) fn gradient_norm() -> Self {
        Self::new(GRADIENT_NORM, None, |shown| shown.gradient_norm)
    }

    pub(super) fn tokens_per_second() -> Self {
        Self::new(TOKENS_PER_SECOND, Some("tokens/s"), |shown| shown.tokens_per_second)
    }

    pub(super) fn seconds_left() -> Self {
        Self::new(SECONDS_LEFT, Some("s"), |shown| shown.seconds_left)
    }

    pub(super) fn step() -> Self {
        Self::new(STEP, None, |shown| shown.step as f64)
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
