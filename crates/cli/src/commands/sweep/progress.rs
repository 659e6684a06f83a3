//! How far a run is: a bar on a terminal, lines elsewhere.

use indicatif::ProgressBar;
use kiln_models::LanguageModel;
use kiln_training::learning::{Event, Observer};

use crate::terminal::{progress_bar, say};

/// Follows one run.
#[derive(Clone)]
pub(super) struct RunProgress {
    label: String,
    bar: ProgressBar,
    losses: [String; 2],
}

impl RunProgress {
    /// `steps` is how far it is trained.
    pub(super) fn new(label: &str, steps: u64) -> Self {
        let bar = progress_bar(steps, "{prefix} [{bar:30}] {pos}/{len} {msg} {eta}");
        bar.set_prefix(label.to_string());
        Self { label: label.to_string(), bar, losses: [String::new(), String::new()] }
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// A line where there is no bar.
    fn say(&self, words: &str) {
        if self.bar.is_hidden() {
            say(&format!("{}: {words}", self.label));
        }
    }
}

impl Observer for RunProgress {
    fn observe(&mut self, event: Event<'_>) {
        match event {
            Event::Started { step, steps } => {
                self.bar.set_position(step);
                self.bar.reset_eta();
                if step > 0 {
                    self.say(&format!("resumed after step {step} of {steps}"));
                }
            }
            Event::Step { entry, .. } => {
                self.bar.set_position(entry.step);
                self.losses[0] = format!("loss {:.4}", entry.train_loss);
            }
            Event::Evaluated { entry, .. } => {
                self.losses[1] = format!("validation loss {:.4}", entry.valid_loss);
                self.say(&format!("{} after step {}", self.losses[1], entry.step));
            }
            Event::Spike { .. }
            | Event::Skipped { .. }
            | Event::RolledBack { .. }
            | Event::Sampled { .. }
            | Event::Saved { .. } => {}
        }
        self.bar.set_message(self.losses.join(" "));
    }

    /// A sweep asks for no samples.
    fn sample(&mut self, _model: &LanguageModel, _prompt: &str, _tokens: usize) -> Result<String, String> {
        Err("no samples are drawn in a sweep".to_string())
    }

    fn warn(&mut self, message: &str) {
        self.bar.suspend(|| say(&format!("warning: {}: {message}", self.label)));
    }
}
