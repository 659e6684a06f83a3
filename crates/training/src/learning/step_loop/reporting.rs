//! Which updates are logged and reported.

use super::TrainingLoop;
use super::clock::Ahead;
use crate::learning::TrainError;
use crate::learning::monitor::Monitor;
use crate::learning::observer::Event;
use crate::run::StepEntry;

impl TrainingLoop {
    /// Shows the monitor each step; the log and the observer get one every `log-every` steps and whenever something was
    /// measured.
    pub(super) fn report(&mut self, entry: &StepEntry, monitor: &mut dyn Monitor) -> Result<(), TrainError> {
        let (step, steps) = (entry.step, self.run.steps);
        let remaining_seconds = self.remaining_seconds();
        monitor.updated(entry, remaining_seconds);
        let measured = entry.gradient_noise.is_some() || entry.sharpness.is_some();
        let is_due = step % self.run.log_every == 0 || step == steps || step == 1 || measured;
        if is_due {
            self.note(entry)?;
        }
        // The first step after a resumption is shown to the user but not logged, so that the log is the same as that of
        // an uninterrupted run.
        if is_due || step == self.clock.first_step + 1 {
            self.observer.observe(Event::Step { entry, steps, remaining_seconds });
            self.clock.restart_speed(entry.tokens);
        }
        self.report_spikes(entry)
    }

    /// Logs and reports losses and gradient norms far above what they were, also of steps that are not logged.
    fn report_spikes(&mut self, entry: &StepEntry) -> Result<(), TrainError> {
        let clip_norm = self.run.clip_norm;
        for spike in self.state.spikes.observe(entry.step, entry.train_loss, entry.gradient_norm) {
            self.note(&spike)?;
            self.observer.observe(Event::Spike { entry: &spike, clip_norm });
        }
        Ok(())
    }

    /// Seconds to the end; `None` before the pace is known.
    fn remaining_seconds(&self) -> Option<f64> {
        let prompts = self.run.prompts.len() as u64 * self.run.sample_tokens as u64;
        let ahead = Ahead {
            step: self.state.step,
            steps: self.run.steps,
            evaluate_every: self.run.evaluate_every,
            evaluation_batches: self.plan.batches() as f64 / self.run.accumulate as f64,
            sample_every: self.run.sample_every,
            sample_tokens: prompts as f64 / self.run.accumulate as f64,
            checkpoint_every: self.run.checkpoint_every,
        };
        self.clock.remaining_seconds(&ahead)
    }
}
