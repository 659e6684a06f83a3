//! What the loop tells: burn-train's dashboard, the log, the observer.

use std::time::Duration;

use burn::data::dataloader::Progress;
use burn::tensor::{Device, Tensor};
use burn::train::{EventProcessorTraining, LearnerEvent, TrainingItem};

use super::Running;
use crate::learning::TrainError;
use crate::learning::dashboard::DashboardValues;
use crate::learning::model::{EvaluationOutput, TrainingOutput};
use crate::learning::observer::Event;
use crate::run::StepEntry;

impl Running {
    /// Tells the dashboard each step, the log and the observer every `log-every` steps and wherever something was measured.
    pub(super) fn report(&mut self, entry: &StepEntry) -> Result<(), TrainError> {
        let output = TrainingOutput {
            loss: Tensor::from_floats([entry.train_loss as f32], &Device::flex()),
            state: None,
            values: DashboardValues {
                gradient_norm: entry.gradient_norm,
                tokens_per_second: entry.tokens_per_second,
                valid_loss: 0.0,
                sample: self.sample.take(),
            },
        };
        let every = self.run.evaluate_every;
        let done = ((entry.step - 1) % every + 1) as usize;
        let progress = Progress::new(done, self.interval_length(entry.step - 1), Some("steps".to_string()));
        let item = TrainingItem::new(output, progress, Some(entry.step as usize), Some(entry.learning_rate.into()));
        self.send_train(LearnerEvent::ProcessedItem(item));

        let (step, steps) = (entry.step, self.run.steps);
        let measured = entry.gradient_noise.is_some() || entry.sharpness.is_some();
        let is_due = step % self.run.log_every == 0 || step == steps || step == 1 || measured;
        if is_due {
            self.log.append(entry)?;
        }
        // Whoever waits for a run that goes on hears of its first step too; the log does not, as if nothing had happened.
        if is_due || step == self.clock.first_step + 1 {
            let made = step - self.clock.first_step;
            let pace = self.clock.started.elapsed().as_secs_f64() / made as f64;
            let remaining_seconds = pace * (steps - step) as f64;
            self.observer.observe(Event::Step { entry, steps, remaining_seconds });
            self.clock.training = Duration::ZERO;
            self.clock.logged_tokens = entry.tokens;
        }
        Ok(())
    }

    /// Which interval between two evaluations the update after `step` belongs to, from 1: the dashboard's epoch.
    pub(super) fn interval(&self, step: u64) -> usize {
        (step / self.run.evaluate_every + 1) as usize
    }

    /// The number of updates in the interval of the update after `step`.
    pub(super) fn interval_length(&self, step: u64) -> usize {
        let every = self.run.evaluate_every;
        let first = step / every * every;
        every.min(self.run.steps - first) as usize
    }

    pub(super) fn start_interval(&mut self, step: u64) {
        if step < self.run.steps {
            let (epoch_number, total_items) = (self.interval(step), self.interval_length(step));
            self.send_train(LearnerEvent::StartSplit { epoch_number, total_items });
        }
    }

    pub(super) fn show_evaluation(&mut self, epoch: usize, valid_loss: f64) {
        self.send_train(LearnerEvent::EndSplit(epoch));
        let output = EvaluationOutput {
            losses: Tensor::zeros([1], &Device::flex()),
            state: None,
            values: DashboardValues { valid_loss, ..DashboardValues::default() },
        };
        let item = TrainingItem::new(output, Progress::new(1, 1, None), Some(self.state.step as usize), None);
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

    pub(super) fn send_train(&mut self, event: LearnerEvent<TrainingOutput>) {
        self.interrupter.fail_on_error(self.events.process_train(event));
    }
}
