//! What burn-train draws on: its dashboard, for as long as the terminal is there, or nothing. Without a dashboard the
//! lines of [`crate::training_display`] show what happens.

use std::error::Error;
use std::mem;

use burn::train::logger::{EvaluationProgressLogger, TrainingProgressLogger};
use burn::train::metric::MetricDefinition;
use burn::train::renderer::tui::TuiMetricsRendererWrapper;
use burn::train::renderer::{
    EvaluationName, MetricState, MetricsRenderer, MetricsRendererEvaluation, MetricsRendererTraining,
};
use burn::train::{Interrupter, LearnerSummary};

use crate::terminal::{self, SilentErrors};

/// The dashboard, if there is one.
///
/// When the terminal goes away, burn-train's dashboard may wait for it for ever, and the drawing library complains on
/// stderr, which by then ends the process where stderr was that terminal. So stderr leads nowhere meanwhile, and a
/// dashboard without a terminal is left alone and never waited for.
pub(crate) struct Screen {
    dashboard: Option<Box<dyn MetricsRenderer>>,
    /// After the dashboard, which is drawn away first.
    _errors: Option<SilentErrors>,
}

impl Screen {
    /// Draws nothing.
    pub(crate) fn nothing() -> Self {
        Self { dashboard: None, _errors: None }
    }

    /// Draws burn-train's dashboard.
    pub(crate) fn dashboard(interrupter: Interrupter) -> Self {
        let errors = SilentErrors::begin();
        Self { dashboard: Some(Box::new(TuiMetricsRendererWrapper::new(interrupter, None))), _errors: errors }
    }

    /// Calls the dashboard as long as there is one on a terminal.
    fn with_dashboard(&mut self, call: impl FnOnce(&mut dyn MetricsRenderer)) {
        self.drop_if_terminal_is_gone();
        if let Some(dashboard) = &mut self.dashboard {
            call(&mut **dashboard);
        }
    }

    fn drop_if_terminal_is_gone(&mut self) {
        if self.dashboard.is_some() && !terminal::is_there() {
            mem::forget(self.dashboard.take());
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.drop_if_terminal_is_gone();
    }
}

impl MetricsRenderer for Screen {
    fn manual_close(&mut self) {
        self.with_dashboard(|dashboard| dashboard.manual_close());
    }

    fn register_metric(&mut self, definition: MetricDefinition) {
        self.with_dashboard(|dashboard| dashboard.register_metric(definition));
    }
}

impl MetricsRendererTraining for Screen {
    fn update_train(&mut self, state: MetricState) {
        self.with_dashboard(|dashboard| dashboard.update_train(state));
    }

    fn update_valid(&mut self, state: MetricState) {
        self.with_dashboard(|dashboard| dashboard.update_valid(state));
    }

    fn on_train_end(&mut self, summary: Option<LearnerSummary>) -> Result<(), Box<dyn Error>> {
        self.drop_if_terminal_is_gone();
        self.dashboard.as_mut().map_or(Ok(()), |dashboard| dashboard.on_train_end(summary))
    }
}

impl MetricsRendererEvaluation for Screen {
    fn update_test(&mut self, name: EvaluationName, state: MetricState) {
        self.with_dashboard(|dashboard| dashboard.update_test(name, state));
    }

    fn on_test_end(&mut self, summary: Option<LearnerSummary>) -> Result<(), Box<dyn Error>> {
        self.drop_if_terminal_is_gone();
        self.dashboard.as_mut().map_or(Ok(()), |dashboard| dashboard.on_test_end(summary))
    }
}

impl TrainingProgressLogger for Screen {
    fn start(&mut self, epochs: usize, first: usize, items: Option<usize>, label: Option<&str>) {
        self.with_dashboard(|dashboard| TrainingProgressLogger::start(dashboard, epochs, first, items, label));
    }

    fn update_epoch(&mut self, epoch: usize) {
        self.with_dashboard(|dashboard| dashboard.update_epoch(epoch));
    }

    fn start_split(&mut self, split: &str, items: usize) {
        self.with_dashboard(|dashboard| dashboard.start_split(split, items));
    }

    fn update_split(&mut self, items: usize) {
        self.with_dashboard(|dashboard| dashboard.update_split(items));
    }

    fn end_split(&mut self) {
        self.with_dashboard(|dashboard| dashboard.end_split());
    }

    fn end(&mut self) {
        self.with_dashboard(|dashboard| dashboard.end());
    }

    fn log_event_training(&mut self, event: String) {
        self.with_dashboard(|dashboard| dashboard.log_event_training(event));
    }
}

impl EvaluationProgressLogger for Screen {
    fn start_global_progress(&mut self, tests: usize) {
        self.with_dashboard(|dashboard| dashboard.start_global_progress(tests));
    }

    fn start_test(&mut self, name: &str, items: usize) {
        self.with_dashboard(|dashboard| dashboard.start_test(name, items));
    }

    fn update_test_progress(&mut self, items: usize) {
        self.with_dashboard(|dashboard| dashboard.update_test_progress(items));
    }

    fn end_test(&mut self) {
        self.with_dashboard(|dashboard| dashboard.end_test());
    }

    fn end_global_progress(&mut self) {
        self.with_dashboard(|dashboard| dashboard.end_global_progress());
    }

    fn log_event_evaluation(&mut self, event: String) {
        self.with_dashboard(|dashboard| dashboard.log_event_evaluation(event));
    }
}
