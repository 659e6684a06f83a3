//! What a person sees of a run: lines on stderr, or burn-train's dashboard on a terminal.

use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use burn::train::Interrupter;
use burn::train::renderer::MetricsRenderer;
use kiln_data::shards::EntropyFloor;
use kiln_inference::{Request, SamplerConfig, generate};
use kiln_models::{LanguageModel, Tokenizer};
use kiln_training::config::DEFAULT_PROMPT;
use kiln_training::learning::{Event, Observer};
use kiln_training::run::{EvaluationEntry, StepEntry};

use crate::screen::Screen;
use crate::terminal;

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Progress {
    /// The dashboard where stdout is a terminal, lines elsewhere.
    #[default]
    Auto,
    /// burn-train's dashboard.
    Dashboard,
    /// One line every `run.log-every` steps.
    Lines,
}

impl Progress {
    fn is_dashboard(self) -> bool {
        match self {
            Self::Auto => std::io::stdout().is_terminal() && std::io::stdin().is_terminal(),
            Self::Dashboard => true,
            Self::Lines => false,
        }
    }

    /// What burn-train draws on, and what follows the run beside it.
    pub(crate) fn displays(
        self,
        interrupter: &Interrupter,
        tokenizer: Tokenizer,
        floor: Option<EntropyFloor>,
    ) -> (Box<dyn MetricsRenderer>, TrainingDisplay, Unsaid) {
        let dashboard = self.is_dashboard();
        let screen = if dashboard { Screen::dashboard(interrupter.clone()) } else { Screen::nothing() };
        let unsaid = Unsaid::default();
        let (interrupter, unsaid_too) = (interrupter.clone(), unsaid.clone());
        (Box::new(screen), TrainingDisplay { dashboard, tokenizer, floor, interrupter, unsaid: unsaid_too }, unsaid)
    }
}

/// Prints what happens, or leaves it to the dashboard.
pub(crate) struct TrainingDisplay {
    dashboard: bool,
    tokenizer: Tokenizer,
    floor: Option<EntropyFloor>,
    interrupter: Interrupter,
    unsaid: Unsaid,
}

/// Warnings that came while the dashboard had the screen.
#[derive(Clone, Default)]
pub(crate) struct Unsaid(Arc<Mutex<Vec<String>>>);

impl Unsaid {
    /// No more are kept: a disk that is full for a week warns often.
    const MOST: usize = 50;

    fn keep(&self, line: String) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() < Self::MOST {
            lines.push(line);
        }
    }

    /// Says them, now that the dashboard is gone.
    pub(crate) fn say(&self) {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
            .iter()
            .for_each(|line| terminal::say(line));
    }
}

impl TrainingDisplay {
    fn say(&self, line: &str) {
        if !self.dashboard {
            terminal::say(line);
        }
    }
}

impl Observer for TrainingDisplay {
    fn observe(&mut self, event: Event<'_>) {
        if self.dashboard {
            terminal::let_control_c_through();
        }
        match event {
            Event::Started { step: 0, .. } => {}
            Event::Started { step, steps } => self.say(&format!("going on after step {step} of {steps}")),
            Event::Step { entry, steps, remaining_seconds } => self.say(&step_line(entry, steps, remaining_seconds)),
            Event::Skipped { entry } => self.warn(&format!(
                "step {}: the {} is {}, so the weights stay as they are (batches {} to {} of the data)",
                entry.step, entry.skipped, entry.value, entry.batches[0], entry.batches[1]
            )),
            Event::RolledBack { rollback } => self.warn(&format!(
                "too many of them: back from step {} to the checkpoint of step {}, and on with later data",
                rollback.from, rollback.to
            )),
            Event::Evaluated { entry, nats_per_character, best } => {
                self.say(&evaluation_line(entry, nats_per_character, best, self.floor.as_ref()));
            }
            Event::Sampled { step, prompt, text } => {
                self.say(&format!("--- sample at step {step} ---\n{prompt}{text}\n---"));
            }
            Event::Saved { folder, .. } => self.say(&format!("saved {}", folder.display())),
        }
    }

    fn sample(&mut self, model: &LanguageModel, prompt: &str, tokens: usize) -> Result<String, String> {
        // Always the same draws, so that samples of different steps can be compared.
        let sampler = SamplerConfig { temperature: 0.8, seed: 1, ..SamplerConfig::default() };
        // A text without line ends has no token for one.
        let is_known = prompt != DEFAULT_PROMPT || self.tokenizer.encode(prompt).is_ok();
        let request = Request { sampler, ..Request::new(if is_known { prompt } else { "" }, tokens) };
        let pieces = generate(model, &self.tokenizer, &request).map_err(|error| error.to_string())?;
        // A request to stop does not wait for the end of a sample.
        let pieces = pieces.take_while(|_| !self.interrupter.should_stop());
        pieces.map(|piece| piece.map(|piece| piece.text).map_err(|error| error.to_string())).collect()
    }

    fn warn(&mut self, message: &str) {
        let line = format!("warning: {message}");
        if self.dashboard { self.unsaid.keep(line) } else { terminal::say(&line) }
    }
}

/// `step  500/2000  25.0 %  loss 2.1034  rate 1.0e-3  norm 0.61  18,400 tokens/s  2 min 41 s left`, and if it was
/// measured `  noise 1.2e-1  noise scale 34.1 windows  sharpness 12.9`
fn step_line(entry: &StepEntry, steps: u64, remaining_seconds: f64) -> String {
    let width = steps.to_string().len();
    let mut line = format!(
        "step {:>width$}/{steps}  {:>5.1} %  loss {:.4}  rate {:.2e}  norm {:.2}  {} tokens/s  {} left",
        entry.step,
        100.0 * entry.step as f64 / steps as f64,
        entry.train_loss,
        entry.learning_rate,
        entry.gradient_norm,
        grouped(entry.tokens_per_second as u64),
        duration(remaining_seconds),
    );
    if let Some(noise) = entry.gradient_noise {
        line.push_str(&format!("  noise {noise:.2e}"));
    }
    if let Some(scale) = entry.noise_scale {
        line.push_str(&format!("  noise scale {scale:.1} windows"));
    }
    if let Some(sharpness) = entry.sharpness {
        line.push_str(&format!("  sharpness {sharpness:.2}"));
    }
    line
}

fn evaluation_line(
    entry: &EvaluationEntry,
    nats_per_character: f64,
    best: bool,
    floor: Option<&EntropyFloor>,
) -> String {
    let mut line = format!(
        "validation after step {}: loss {:.4} nats/token, perplexity {:.2}, {:.4} bits/byte",
        entry.step, entry.valid_loss, entry.perplexity, entry.bits_per_byte
    );
    if let Some(floor) = floor {
        line.push_str("; ");
        line.push_str(&floor_words(nats_per_character, floor));
    }
    if best {
        line.push_str(" (best)");
    }
    line
}

/// How far a loss is from the best that any model could reach on the built-in corpus.
pub(crate) fn floor_words(nats_per_character: f64, floor: &EntropyFloor) -> String {
    let best = floor.validation_nats_per_character;
    format!(
        "{nats_per_character:.4} nats/character, the best possible is {best:.4} ({:+.4})",
        nats_per_character - best
    )
}

/// `1,234,567`
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `2 h 5 min`, `2 min 41 s`, `8 s`
pub(crate) fn duration(seconds: f64) -> String {
    let seconds = Duration::try_from_secs_f64(seconds).map_or(0, |duration| duration.as_secs());
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}
