//! Which updates are logged and reported.

use super::TrainingLoop;
use crate::learning::TrainError;
use crate::learning::monitor::Monitor;
use crate::learning::observer::Event;
use crate::run::StepEntry;

impl TrainingLoop {
    /// Shows the monitor each step; the log and the observer get one every `log-every` steps and whenever something was
    /// measured.
    pub(super) fn report(&mut self, entry: &StepEntry, monitor: &mut dyn Monitor) -> Result<(), TrainError> {
        monitor.updated(entry);
        let (step, steps) = (entry.step, self.run.steps);
        let measured = entry.gradient_noise.is_some() || entry.sharpness.is_some();
        let is_due = step % self.run.log_every == 0 || step == steps || step == 1 || measured;
        if is_due {
            self.note(entry)?;
        }
        // The first step after a resumption is shown to the user but not logged, so that the log is the same as that of
        // an uninterrupted run.
        if is_due || step == self.clock.first_step + 1 {
            let remaining_seconds = self.clock.remaining_seconds(step, steps);
            self.observer.observe(Event::Step { entry, steps, remaining_seconds });
            self.clock.restart_speed(entry.tokens);
        }
        Ok(())
    }
}
