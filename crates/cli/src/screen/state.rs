//! What the dashboard knows of a run: plain data, changed by what happens, read by what draws.

use std::time::Instant;

use kiln_training::RunningMean;
use kiln_training::run::Metrics;

use super::curve::Curve;

/// Notes that are kept for the screen.
const MOST_NOTES: usize = 50;

/// What is known before the first step.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    /// The run's folder.
    pub(crate) run: String,
    pub(crate) device: String,
    pub(crate) model: String,
    pub(crate) steps: u64,
    /// Tokens of an update; where these differ, batches.
    pub(crate) tokens_per_step: u64,
    /// Tokens of the training split, or batches in a pass.
    pub(crate) training_tokens: u64,
    /// The lowest validation loss that any model can have, nats per token, where the text's entropy is known.
    pub(crate) floor: Option<f64>,
}

impl Facts {
    /// How often the training split has been gone through by this step.
    pub(crate) fn passes(&self, step: u64) -> f64 {
        (step * self.tokens_per_step) as f64 / self.training_tokens.max(1) as f64
    }
}

/// What was measured of an update.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Numbers {
    pub(crate) step: u64,
    pub(crate) loss: f64,
    pub(crate) rate: f64,
    pub(crate) gradient_norm: f64,
    pub(crate) tokens_per_second: f64,
    /// To the end; not a number before the pace is known.
    pub(crate) seconds_left: f64,
}

/// An evaluation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Evaluated {
    pub(crate) step: u64,
    pub(crate) loss: f64,
    pub(crate) perplexity: f64,
    pub(crate) bits_per_byte: f64,
    pub(crate) is_best: bool,
}

/// An event that changes what the dashboard shows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Happening {
    Updated(Numbers),
    Evaluated(Evaluated),
    Sampled { step: u64, text: String },
    Saved { step: u64 },
    Fault(String),
    Spike(String),
    Warning(String),
    RolledBack { to: u64, words: String },
    Stopping,
}

/// What the dashboard shows.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) facts: Facts,
    pub(crate) numbers: Option<Numbers>,
    /// The newest step that is known of.
    pub(crate) step: u64,
    smoothing: RunningMean,
    /// The smoothed training loss.
    pub(crate) training: Curve,
    pub(crate) rates: Curve,
    pub(crate) norms: Curve,
    pub(crate) evaluations: Vec<Evaluated>,
    /// Seconds to the end, and when that was so.
    left: Option<(f64, Instant)>,
    /// The newest checkpoint, and when it was written; not known of one that was there before.
    pub(crate) saved: Option<(u64, Option<Instant>)>,
    pub(crate) sample: Option<(u64, String)>,
    pub(crate) faults: u64,
    pub(crate) spikes: u64,
    /// Faults, spikes and warnings in words, the newest last.
    pub(crate) notes: Vec<String>,
    /// Bytes that the process has in memory.
    pub(crate) memory: Option<u64>,
    pub(crate) is_stopping: bool,
}

impl State {
    /// Before the first step. The training loss is smoothed over a fiftieth of the run's steps, at least ten: short
    /// enough to follow the fall, long enough to take out the scatter of a batch.
    pub(crate) fn new(facts: Facts) -> Self {
        Self {
            smoothing: RunningMean::of_a_run(facts.steps),
            facts,
            numbers: None,
            step: 0,
            training: Curve::default(),
            rates: Curve::default(),
            norms: Curve::default(),
            evaluations: Vec::new(),
            left: None,
            saved: None,
            sample: None,
            faults: 0,
            spikes: 0,
            notes: Vec::new(),
            memory: None,
            is_stopping: false,
        }
    }

    /// Takes what an earlier session logged up to the checkpoint of `step`, from which this one resumes.
    pub(crate) fn recall(&mut self, log: &Metrics, step: u64) {
        for entry in log.steps.iter().filter(|entry| entry.step <= step) {
            self.add_to_curves(&Numbers {
                step: entry.step,
                loss: entry.train_loss,
                rate: entry.learning_rate,
                gradient_norm: entry.gradient_norm,
                tokens_per_second: entry.tokens_per_second,
                seconds_left: f64::NAN,
            });
        }
        let mut lowest = f64::INFINITY;
        for entry in log.evaluations.iter().filter(|entry| entry.step <= step) {
            let is_best = entry.valid_loss < lowest;
            lowest = lowest.min(entry.valid_loss);
            self.evaluations.push(Evaluated {
                step: entry.step,
                loss: entry.valid_loss,
                perplexity: entry.perplexity,
                bits_per_byte: entry.bits_per_byte,
                is_best,
            });
        }
        self.faults = log.skips.iter().filter(|entry| entry.step <= step).count() as u64;
        self.spikes = log.spikes.iter().filter(|entry| entry.step <= step).count() as u64;
        self.saved = Some((step, None));
        self.step = step;
    }

    /// Takes what happened.
    pub(crate) fn apply(&mut self, happening: Happening, now: Instant) {
        match happening {
            Happening::Updated(numbers) => {
                self.add_to_curves(&numbers);
                self.left = numbers.seconds_left.is_finite().then_some((numbers.seconds_left, now));
            }
            Happening::Evaluated(evaluated) => self.evaluations.push(evaluated),
            Happening::Sampled { step, text } => self.sample = Some((step, text)),
            Happening::Saved { step } => self.saved = Some((step, Some(now))),
            Happening::Fault(words) => {
                self.faults += 1;
                self.note(words);
            }
            Happening::Spike(words) => {
                self.spikes += 1;
                self.note(words);
            }
            Happening::Warning(words) => self.note(words),
            Happening::RolledBack { to, words } => {
                self.go_back(to);
                self.note(words);
            }
            Happening::Stopping => self.is_stopping = true,
        }
    }

    fn add_to_curves(&mut self, numbers: &Numbers) {
        let since = numbers.step.saturating_sub(self.step).max(1);
        self.step = numbers.step;
        self.numbers = Some(*numbers);
        self.smoothing.add_after(since, numbers.loss);
        self.training.push(numbers.step, self.smoothing.value().unwrap_or(numbers.loss));
        self.rates.push(numbers.step, numbers.rate);
        self.norms.push(numbers.step, numbers.gradient_norm);
    }

    fn go_back(&mut self, to: u64) {
        [&mut self.training, &mut self.rates, &mut self.norms].into_iter().for_each(|curve| curve.cut(to));
        self.evaluations.retain(|evaluated| evaluated.step <= to);
        self.step = to;
    }

    fn note(&mut self, words: String) {
        if self.notes.len() >= MOST_NOTES {
            self.notes.remove(0);
        }
        self.notes.push(words);
    }

    /// The best evaluation.
    pub(crate) fn best(&self) -> Option<&Evaluated> {
        self.evaluations.iter().rev().find(|evaluated| evaluated.is_best)
    }

    /// Seconds to the end as of `now`.
    pub(crate) fn seconds_left(&self, now: Instant) -> Option<f64> {
        self.left.map(|(seconds, then)| (seconds - now.saturating_duration_since(then).as_secs_f64()).max(0.0))
    }
}
