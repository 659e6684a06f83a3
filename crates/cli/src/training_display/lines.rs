//! A run as lines on stderr.

use kiln_data::shards::EntropyFloor;
use kiln_training::learning::Event;
use kiln_training::run::{EvaluationEntry, Rollback, SkipEntry, SpikeEntry, StepEntry, TranslationScores};

use super::words::{duration, floor_words, grouped};
use crate::device;
use crate::screen::{Evaluated, Facts};
use crate::sizes::bytes;
use crate::terminal::say;

/// What the lines say beside what happens.
#[derive(Clone)]
pub(super) struct Lines {
    pub(super) facts: Facts,
    pub(super) floor: Option<EntropyFloor>,
}

impl Lines {
    /// Says what happened.
    pub(super) fn say(&self, event: Event<'_>) {
        match event {
            Event::Started { step: 0, .. } => {}
            Event::Started { step, steps } => say(&format!("resuming after step {step} of {steps}")),
            Event::Step { entry, remaining_seconds, .. } => say(&self.step(entry, remaining_seconds)),
            Event::Spike { entry, clip_norm } => say(&format!("warning: {}", spike_words(entry, clip_norm))),
            Event::Skipped { entry } => say(&format!("warning: {}", skipped_words(entry))),
            Event::RolledBack { rollback } => say(&format!("warning: {}", rolled_back_words(rollback))),
            Event::Evaluated { entry, nats_per_character, best } => {
                say(&self.evaluation(entry, nats_per_character, best));
            }
            Event::Sampled { step, prompt, text } => {
                say(&format!("--- sample at step {step} ---\n{prompt}{text}\n---"))
            }
            Event::Saved { folder, .. } => say(&format!("saved {}", folder.display())),
        }
    }

    /// `step  500/2000  25.0 %  loss 2.1034  rate 1.0e-3  norm 0.61  18,400 tokens/s  0.42 passes  312 MiB  2 min 41 s
    /// left`, and if it was measured `  noise 1.2e-1  noise scale 34.1 windows  sharpness 12.9`
    fn step(&self, entry: &StepEntry, remaining_seconds: Option<f64>) -> String {
        let steps = self.facts.steps;
        let width = steps.to_string().len();
        let mut line = format!(
            "step {:>width$}/{steps}  {:>5.1} %  loss {:.4}  rate {:.2e}  norm {:.2}  {} tokens/s  {:.2} passes",
            entry.step,
            100.0 * entry.step as f64 / steps as f64,
            entry.train_loss,
            entry.learning_rate,
            entry.gradient_norm,
            grouped(entry.tokens_per_second as u64),
            self.facts.passes(entry.step),
        );
        let memory = device::memory_of_this_process().map(bytes);
        let left = remaining_seconds.map(|seconds| format!("{} left", duration(seconds)));
        let noise = entry.gradient_noise.map(|noise| format!("noise {noise:.2e}"));
        let scale = entry.noise_scale.map(|scale| format!("noise scale {scale:.1} windows"));
        let sharpness = entry.sharpness.map(|sharpness| format!("sharpness {sharpness:.2}"));
        for part in [memory, left, noise, scale, sharpness].into_iter().flatten() {
            line.push_str(&format!("  {part}"));
        }
        line
    }

    fn evaluation(&self, entry: &EvaluationEntry, nats_per_character: f64, best: bool) -> String {
        let mut line = format!(
            "validation after step {}: loss {:.4} nats/token, perplexity {:.2}, {:.4} bits/byte",
            entry.step, entry.valid_loss, entry.perplexity, entry.bits_per_byte
        );
        if let Some(floor) = &self.floor {
            line.push_str("; ");
            line.push_str(&floor_words(nats_per_character, floor));
        }
        if let Some(TranslationScores { pairs, exact, bleu, chrf }) = entry.translation {
            let exact = 100.0 * exact;
            line.push_str(&format!("; of {pairs} translations {exact:.1} % exact, BLEU {bleu:.2}, chrF {chrf:.2}"));
        }
        if best {
            line.push_str(" (best)");
        }
        line
    }
}

/// `spike at step 33: the gradient norm is 69, 130 times its running mean of 0.53 (41 standard deviations above);
/// clipped to 1`
pub(super) fn spike_words(entry: &SpikeEntry, clip_norm: Option<f64>) -> String {
    let SpikeEntry { step, spike, value, usual, deviations } = entry;
    let mut words = format!(
        "spike at step {step}: the {spike} is {value:.3}, its running mean {usual:.3} ({deviations:.1} standard \
         deviations above)"
    );
    if let Some(norm) = clip_norm.filter(|norm| spike == "gradient norm" && value > norm) {
        words.push_str(&format!("; clipped to {norm}"));
    }
    words
}

pub(super) fn skipped_words(entry: &SkipEntry) -> String {
    format!(
        "step {}: the {} is {}, so the weights stay as they are (batches {} to {} of the data)",
        entry.step, entry.skipped, entry.value, entry.batches[0], entry.batches[1]
    )
}

pub(super) fn rolled_back_words(rollback: &Rollback) -> String {
    format!(
        "too many of them: back from step {} to the checkpoint of step {}, and on with later data",
        rollback.from, rollback.to
    )
}

/// An evaluation as the dashboard takes it.
pub(super) fn evaluated(entry: &EvaluationEntry, is_best: bool) -> Evaluated {
    let EvaluationEntry { step, valid_loss: loss, perplexity, bits_per_byte, .. } = *entry;
    Evaluated { step, loss, perplexity, bits_per_byte, is_best }
}
