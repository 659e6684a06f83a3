//! The dashboard as burn-train's renderer: the metrics of every update become events of the dashboard.

use std::collections::HashMap;
use std::error::Error;

use burn::train::LearnerSummary;
use burn::train::logger::{EvaluationProgressLogger, TrainingProgressLogger};
use burn::train::metric::{MetricDefinition, MetricId};
use burn::train::renderer::{
    EvaluationName, MetricState, MetricsRenderer, MetricsRendererEvaluation, MetricsRendererTraining,
};
use kiln_training::learning::metrics::{GRADIENT_NORM, LEARNING_RATE, LOSS, SECONDS_LEFT, STEP, TOKENS_PER_SECOND};

use super::Dashboard;
use super::state::{Happening, Numbers};

/// Takes burn-train's metrics, for a dashboard or for nobody.
pub(crate) struct Renderer {
    dashboard: Option<Dashboard>,
    names: HashMap<MetricId, String>,
    /// What came of an update so far; its number comes last.
    pending: Numbers,
}

impl Renderer {
    /// Shows nothing.
    pub(crate) fn nothing() -> Self {
        let pending = Numbers {
            step: 0,
            loss: f64::NAN,
            rate: f64::NAN,
            gradient_norm: f64::NAN,
            tokens_per_second: f64::NAN,
            seconds_left: f64::NAN,
        };
        Self { dashboard: None, names: HashMap::new(), pending }
    }

    /// Shows every update on a dashboard.
    pub(crate) fn of(dashboard: Dashboard) -> Self {
        Self { dashboard: Some(dashboard), ..Self::nothing() }
    }

    fn take(&mut self, name: &str, value: f64) {
        match name {
            LOSS => self.pending.loss = value,
            LEARNING_RATE => self.pending.rate = value,
            GRADIENT_NORM => self.pending.gradient_norm = value,
            TOKENS_PER_SECOND => self.pending.tokens_per_second = value,
            SECONDS_LEFT => self.pending.seconds_left = value,
            STEP => {
                self.pending.step = value as u64;
                if let Some(dashboard) = &self.dashboard {
                    dashboard.happened(Happening::Updated(self.pending));
                }
            }
            _ => {}
        }
    }
}

impl MetricsRenderer for Renderer {
    fn manual_close(&mut self) {}

    fn register_metric(&mut self, definition: MetricDefinition) {
        self.names.insert(definition.metric_id, definition.name.to_string());
    }
}

impl MetricsRendererTraining for Renderer {
    fn update_train(&mut self, state: MetricState) {
        if let MetricState::Numeric(entry, Some(value)) = state
            && let Some(name) = self.names.get(&entry.metric_id).cloned()
        {
            self.take(&name, value.current());
        }
    }

    /// Evaluations come as events, with more than a loss.
    fn update_valid(&mut self, _state: MetricState) {}

    fn on_train_end(&mut self, _summary: Option<LearnerSummary>) -> Result<(), Box<dyn Error>> {
        Ok(())
    }
}

impl MetricsRendererEvaluation for Renderer {
    fn update_test(&mut self, _name: EvaluationName, _state: MetricState) {}

    fn on_test_end(&mut self, _summary: Option<LearnerSummary>) -> Result<(), Box<dyn Error>> {
        Ok(())
    }
}

/// How far a run is, the events say.
impl TrainingProgressLogger for Renderer {
    fn start(&mut self, _epochs: usize, _first: usize, _items: Option<usize>, _label: Option<&str>) {}

    fn update_epoch(&mut self, _epoch: usize) {}

    fn start_split(&mut self, _split: &str, _items: usize) {}

    fn update_split(&mut self, _items: usize) {}

    fn end_split(&mut self) {}

    fn end(&mut self) {}

    fn log_event_training(&mut self, _event: String) {}
}

impl EvaluationProgressLogger for Renderer {
    fn start_global_progress(&mut self, _tests: usize) {}

    fn start_test(&mut self, _name: &str, _items: usize) {}

    fn update_test_progress(&mut self, _items: usize) {}

    fn end_test(&mut self) {}

    fn end_global_progress(&mut self) {}

    fn log_event_evaluation(&mut self, _event: String) {}
}
