//! The loop's monitor: burn-train's event processor and interrupter.

use burn::data::dataloader::Progress;
use burn::train::{EventProcessorTraining, Interrupter, LearnerEvent, SupervisedTrainingEventProcessor, TrainingItem};

use super::metrics::Shown;
use super::model::LearnerModel;
use crate::learning::monitor::Monitor;
use crate::run::StepEntry;

/// Gives a run to burn-train's metrics, an epoch being the interval between two evaluations.
pub(super) struct EventMonitor {
    events: SupervisedTrainingEventProcessor<LearnerModel>,
    interrupter: Interrupter,
    steps: u64,
    evaluate_every: u64,
}

impl EventMonitor {
    pub(super) fn new(
        events: SupervisedTrainingEventProcessor<LearnerModel>,
        interrupter: Interrupter,
        steps: u64,
        evaluate_every: u64,
    ) -> Self {
        Self { events, interrupter, steps, evaluate_every }
    }

    pub(super) fn into_events(self) -> SupervisedTrainingEventProcessor<LearnerModel> {
        self.events
    }

    /// Which interval the update after `step` belongs to, from 1.
    fn epoch(&self, step: u64) -> usize {
        (step / self.evaluate_every + 1) as usize
    }

    /// The number of updates in that interval.
    fn epoch_length(&self, step: u64) -> usize {
        let first = step / self.evaluate_every * self.evaluate_every;
        self.evaluate_every.min(self.steps - first) as usize
    }

    fn send_train(&mut self, event: LearnerEvent<Shown>) {
        self.interrupter.fail_on_error(self.events.process_train(event));
    }
}

impl Monitor for EventMonitor {
    fn begin_interval(&mut self, step: u64) {
        if step < self.steps {
            let (epoch_number, total_items) = (self.epoch(step), self.epoch_length(step));
            self.send_train(LearnerEvent::StartSplit { epoch_number, total_items });
        }
    }

    fn updated(&mut self, entry: &StepEntry, remaining_seconds: Option<f64>) {
        let shown = Shown {
            loss: entry.train_loss,
            gradient_norm: entry.gradient_norm,
            tokens_per_second: entry.tokens_per_second,
            seconds_left: remaining_seconds.unwrap_or(f64::NAN),
            step: entry.step,
        };
        let done = ((entry.step - 1) % self.evaluate_every + 1) as usize;
        let progress = Progress::new(done, self.epoch_length(entry.step - 1), Some("steps".to_string()));
        let item = TrainingItem::new(shown, progress, Some(entry.step as usize), Some(entry.learning_rate.into()));
        self.send_train(LearnerEvent::ProcessedItem(item));
    }

    fn evaluated(&mut self, step: u64, valid_loss: f64) {
        let epoch = self.epoch(step - 1);
        self.send_train(LearnerEvent::EndSplit(epoch));
        let shown = Shown { loss: valid_loss, ..Shown::default() };
        let item = TrainingItem::new(shown, Progress::new(1, 1, None), Some(step as usize), None);
        let events = [
            LearnerEvent::StartSplit { epoch_number: epoch, total_items: 1 },
            LearnerEvent::ProcessedItem(item),
            LearnerEvent::EndSplit(epoch),
        ];
        for event in events {
            self.interrupter.fail_on_error(self.events.process_valid(event));
        }
        self.send_train(LearnerEvent::EndEpoch(epoch));
    }

    fn should_stop(&self) -> bool {
        self.interrupter.should_stop()
    }

    fn stop_reason(&self) -> Option<String> {
        self.interrupter.get_message()
    }
}
