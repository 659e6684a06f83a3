//! What the loop reports, and what it asks of the caller.

use std::path::Path;

use kiln_models::LanguageModel;

use crate::run::{EvaluationEntry, Rollback, SkipEntry, SpikeEntry, StepEntry, TranslationScores};

/// Something that happened in a run.
#[derive(Debug)]
pub enum Event<'a> {
    /// The loop begins after `step` updates of `steps`.
    Started {
        /// Updates made before.
        step: u64,
        /// Updates in all.
        steps: u64,
    },
    /// An update that is logged.
    Step {
        /// What was measured.
        entry: &'a StepEntry,
        /// Updates in all.
        steps: u64,
        /// Seconds to the end, evaluations, samples and saving included; `None` before the pace is known.
        remaining_seconds: Option<f64>,
    },
    /// A loss or a gradient norm far above what it was lately.
    Spike {
        /// Which, and how far.
        entry: &'a SpikeEntry,
        /// The gradient norm above which gradients are scaled down to it.
        clip_norm: Option<f64>,
    },
    /// A step whose update was not made because a number was not finite.
    Skipped {
        /// Which, and why.
        entry: &'a SkipEntry,
    },
    /// After too many of them: training resumes from an earlier checkpoint, with data after that of those steps.
    RolledBack {
        /// From where to where.
        rollback: &'a Rollback,
    },
    /// An evaluation.
    Evaluated {
        /// What was measured.
        entry: &'a EvaluationEntry,
        /// Nats per character of the validation text.
        nats_per_character: f64,
        /// Whether it is the lowest loss of the run.
        best: bool,
    },
    /// A sample.
    Sampled {
        /// Updates made.
        step: u64,
        /// What it continues.
        prompt: &'a str,
        /// The text, without the prompt.
        text: &'a str,
    },
    /// A checkpoint is on disk, whole.
    Saved {
        /// Updates made.
        step: u64,
        /// Its folder.
        folder: &'a Path,
    },
}

/// Follows a run. The libraries print nothing; this does.
pub trait Observer: Send {
    /// Gets every event, in order.
    fn observe(&mut self, event: Event<'_>);

    /// Continues `prompt` by at most `tokens` tokens.
    ///
    /// # Errors
    /// A message; the run continues without the sample.
    fn sample(&mut self, model: &LanguageModel, prompt: &str, tokens: usize) -> Result<String, String>;

    /// Translates sources, each of which comes with its target as tokens, and says how near that comes to the targets.
    ///
    /// # Errors
    /// A message; the run continues without the scores.
    fn translate(&mut self, _model: &LanguageModel, _pairs: &[[Vec<u32>; 2]]) -> Result<TranslationScores, String> {
        Err("nothing translates here".to_owned())
    }

    /// Gets a warning of something wrong that does not stop the run.
    fn warn(&mut self, message: &str);
}

/// Why the loop ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// All steps are done.
    Done,
    /// The validation loss did not improve for `run.patience` evaluations.
    Early,
    /// The step after which the session was to stop is made.
    AfterStep,
    /// It was asked to stop; the reason as given to the interrupter.
    Interrupted(Option<String>),
}
