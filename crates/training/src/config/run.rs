//! `[run]`: how long, on what, and what is looked at and kept on the way.

use kiln_kernels::MatrixPrecision;
use kiln_models::{LanguageModel, Tokenizer};
use kiln_settings::Violation;
use serde::{Deserialize, Serialize};

use kiln_data::batches::Windows;
use kiln_optimization::optimizers::StateBits;

/// The settings of the training loop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RunConfig {
    /// Number of updates, >= 1.
    pub steps: u64,
    /// Windows in a batch, >= 1; with pairs a batch has room for `batch` times `context` tokens of sources, and as many
    /// of targets.
    pub batch: usize,
    /// Tokens in a window, >= 1; with pairs the most of a source or of a target, the end token among them.
    pub context: usize,
    /// How windows are picked: `random`, `shuffled` or `streams`. Default `shuffled`.
    #[serde(default = "default_windows")]
    pub windows: Windows,
    /// What becomes of a recurrent state where a document ends: `carried` or `reset`. Default `carried`.
    #[serde(default)]
    pub document_state: DocumentState,
    /// Batches whose mean gradient makes one update, >= 1. Default `1`.
    #[serde(default = "one")]
    pub accumulate: usize,
    /// The precision of matrix products: `f32` or `mixed`. Default `f32`.
    #[serde(default)]
    pub precision: Precision,
    /// Whether a transformer keeps only what lies between its blocks for the backward pass and computes each block
    /// again there: the same bits on a CPU, in less memory and up to a third more time. Default `false`.
    #[serde(default)]
    pub recompute: bool,
    /// How the optimizer's state is kept between two updates: `f32` or `8-bit`. Default `f32`.
    #[serde(default)]
    pub optimizer_state: StateBits,
    /// The global gradient norm above which the gradient is scaled down to it, > 0. Default: no clipping.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
    /// How much of each label is spread evenly over all tokens, in [0, 1); with pairs alone. Default `0.0`.
    #[serde(default)]
    pub label_smoothing: f64,
    /// Updates between two evaluations on the validation split; the last step is always evaluated. Default `250`.
    #[serde(default = "default_evaluate_every")]
    pub evaluate_every: u64,
    /// Evaluations in a row that are no better than the best before them, after which training ends early, >= 1.
    /// Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patience: Option<u64>,
    /// The part of the validation split that evaluations while training read, from its start, in (0, 1]. Default `1.0`.
    #[serde(default = "default_fraction")]
    pub evaluate_fraction: f64,
    /// Pairs of the validation split, its first ones, that are translated at each evaluation, to see how many exactly
    /// and with what BLEU and chrF. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub translated_pairs: Option<u64>,
    /// Updates between two checkpoints; the last step is always saved. Default `250`.
    #[serde(default = "default_checkpoint_every")]
    pub checkpoint_every: u64,
    /// Checkpoints to keep, the newest ones, beside the best, >= 2. Default `3`.
    #[serde(default = "default_keep")]
    pub keep: usize,
    /// What to do when a checkpoint or a line of the log cannot be written: `continue` (and try again) or `stop`.
    /// Default `continue`.
    #[serde(default)]
    pub on_save_error: OnSaveError,
    /// Updates between two lines of the log, >= 1. Default `10`.
    #[serde(default = "default_log_every")]
    pub log_every: u64,
    /// Updates between two samples. Default: no samples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample_every: Option<u64>,
    /// Texts that the samples continue. Default `["\n"]`.
    #[serde(default = "default_prompts")]
    pub prompts: Vec<String>,
    /// Tokens in a sample, >= 1. Default `200`.
    #[serde(default = "default_sample_tokens")]
    pub sample_tokens: usize,
}

/// What becomes of a recurrent state where a document ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DocumentState {
    /// It goes on into the next document, whose start the model can tell by the token before it.
    #[default]
    Carried,
    /// It begins anew, as it does where a text is written. Each place of a window where any row has an end cuts the
    /// window for all rows.
    Reset,
}

/// The precision of the matrix products of training.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// Single precision throughout.
    #[default]
    F32,
    /// Operands of products are rounded to bfloat16 and their products added up in single precision. Weights,
    /// gradients, the optimizer and everything else stay in single precision.
    Mixed,
}

impl From<Precision> for MatrixPrecision {
    fn from(precision: Precision) -> Self {
        match precision {
            Precision::F32 => Self::Single,
            Precision::Mixed => Self::Mixed,
        }
    }
}

/// What training does when the run folder cannot be written, because the disk is full for example.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnSaveError {
    /// It continues, says so, and tries again at the next checkpoint.
    #[default]
    Continue,
    /// It ends with the error.
    Stop,
}

fn default_windows() -> Windows {
    Windows::Shuffled
}

fn one() -> usize {
    1
}

fn default_evaluate_every() -> u64 {
    250
}

fn default_fraction() -> f64 {
    1.0
}

fn default_checkpoint_every() -> u64 {
    250
}

fn default_keep() -> usize {
    3
}

fn default_log_every() -> u64 {
    10
}

/// What samples begin with where nothing is configured; where the text has no line ends, they begin a document.
pub const DEFAULT_PROMPT: &str = "\n";

fn default_prompts() -> Vec<String> {
    vec![DEFAULT_PROMPT.to_string()]
}

fn default_sample_tokens() -> usize {
    200
}

impl RunConfig {
    /// Tokens in one update.
    pub fn tokens_per_step(&self) -> u64 {
        self.batch as u64 * self.context as u64 * self.accumulate as u64
    }

    /// Tokens of targets, and of sources, that a batch of pairs has room for.
    pub fn budget(&self) -> usize {
        self.batch.saturating_mul(self.context)
    }

    /// Whether a batch continues from the state that the previous one left.
    pub fn carries_state(&self, model: &LanguageModel) -> bool {
        model.carries_state_between_windows() && self.windows == Windows::Streams
    }

    /// The token before which a recurrent state begins anew, if it does.
    pub fn resets_at(&self, tokenizer: &Tokenizer) -> Option<u32> {
        match self.document_state {
            DocumentState::Carried => None,
            DocumentState::Reset => tokenizer.end_token(),
        }
    }

    /// Every broken rule, keys relative to `[run]`.
    pub fn validate(&self) -> Vec<Violation> {
        let mut violations = Vec::new();
        let counts = [
            ("steps", self.steps),
            ("batch", self.batch as u64),
            ("context", self.context as u64),
            ("accumulate", self.accumulate as u64),
            ("evaluate-every", self.evaluate_every),
            ("checkpoint-every", self.checkpoint_every),
            ("log-every", self.log_every),
            ("patience", self.patience.unwrap_or(1)),
            ("translated-pairs", self.translated_pairs.unwrap_or(1)),
            ("sample-every", self.sample_every.unwrap_or(1)),
            ("sample-tokens", self.sample_tokens as u64),
        ];
        for (key, value) in counts {
            if value == 0 {
                violations.push(Violation::new(key, "must be 1 or more, is 0"));
            }
        }
        if self.keep < 2 {
            violations.push(
                Violation::new("keep", format!("must be 2 or more, is {}", self.keep))
                    .with_help("with one checkpoint, a crash while the next is written could leave none"),
            );
        }
        if let Some(norm) = self.clip_norm
            && !(norm > 0.0 && norm.is_finite())
        {
            violations.push(
                Violation::new("clip-norm", format!("must be above 0, is {norm}"))
                    .with_help("leave it out for no clipping"),
            );
        }
        if !(0.0..1.0).contains(&self.label_smoothing) {
            violations
                .push(Violation::new("label-smoothing", format!("must be in [0, 1), is {}", self.label_smoothing)));
        }
        if !(self.evaluate_fraction > 0.0 && self.evaluate_fraction <= 1.0) {
            violations
                .push(Violation::new("evaluate-fraction", format!("must be in (0, 1], is {}", self.evaluate_fraction)));
        }
        if self.sample_every.is_some() && self.prompts.is_empty() {
            violations.push(
                Violation::new("prompts", "is empty, but `sample-every` asks for samples")
                    .with_help("use `prompts = [\"\\n\"]`"),
            );
        }
        violations
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> RunConfig {
        toml::from_str("steps = 10\nbatch = 2\ncontext = 8").unwrap()
    }

    fn keys(violations: Vec<Violation>) -> Vec<String> {
        violations.into_iter().map(|violation| violation.key).collect()
    }

    #[test]
    fn what_is_left_out_has_its_documented_default() {
        let config = config();
        assert_eq!(config.windows, Windows::Shuffled);
        assert_eq!((config.accumulate, config.clip_norm), (1, None));
        assert_eq!((config.evaluate_every, config.checkpoint_every, config.keep, config.log_every), (250, 250, 3, 10));
        assert_eq!((config.evaluate_fraction, config.sample_every, config.sample_tokens), (1.0, None, 200));
        assert_eq!(config.tokens_per_step(), 16);
        assert_eq!(config.validate(), []);
    }

    #[test]
    fn every_value_out_of_range_is_named() {
        let wrong = RunConfig {
            steps: 0,
            batch: 0,
            context: 0,
            document_state: DocumentState::Carried,
            windows: Windows::Random,
            accumulate: 0,
            precision: Precision::F32,
            recompute: false,
            optimizer_state: StateBits::ThirtyTwo,
            clip_norm: Some(0.0),
            label_smoothing: 1.0,
            evaluate_every: 0,
            evaluate_fraction: 1.5,
            translated_pairs: Some(0),
            checkpoint_every: 0,
            keep: 1,
            on_save_error: OnSaveError::Continue,
            log_every: 0,
            patience: Some(0),
            sample_every: Some(0),
            prompts: vec![],
            sample_tokens: 0,
        };
        let found = keys(wrong.validate());
        let expected = [
            "steps",
            "batch",
            "context",
            "accumulate",
            "evaluate-every",
            "checkpoint-every",
            "log-every",
            "patience",
            "translated-pairs",
            "sample-every",
            "sample-tokens",
            "keep",
            "clip-norm",
            "label-smoothing",
            "evaluate-fraction",
            "prompts",
        ];
        assert_eq!(found, expected);
    }
}
