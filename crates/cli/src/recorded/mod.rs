//! Runs as they were recorded: what came out of each, and its curves.

mod charts;
mod curves;
mod pictures;

use std::path::{Path, PathBuf};

use kiln_models::{Tokenizer, TokenizerConfig};
use kiln_storage::layout::{METRICS_FILE, TOKENIZER_FILE};
use kiln_training::config::Config;
use kiln_training::run::{EvaluationEntry, Metrics, RunRecord};
use kiln_training::sweep::Diverged;

use crate::runs::own_config;

pub(crate) use self::charts::{Group, Measure, chart, losses_chart, means_chart};
pub(crate) use self::curves::{Along, Curve};
pub(crate) use self::pictures::Picture;

/// A run, as far as its log goes.
#[derive(Debug)]
pub(crate) struct RecordedRun {
    /// What it is called in tables and legends.
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    pub(crate) config: Config,
    pub(crate) metrics: Metrics,
    pub(crate) diverged: Option<Diverged>,
    /// Nothing where its tokenizer can't be read.
    pub(crate) parameters: Option<u64>,
    /// Nothing where it can't be read.
    pub(crate) record: Option<RunRecord>,
}

impl RecordedRun {
    /// The run in a folder, called by the folder's name.
    ///
    /// # Errors
    /// When its configuration or its log can't be read.
    pub(crate) fn open(folder: &Path) -> anyhow::Result<Self> {
        let config = own_config(folder, &[])?;
        let vocabulary =
            Tokenizer::from_file(&folder.join(TOKENIZER_FILE)).map(|tokenizer| tokenizer.vocabulary_size());
        Ok(Self {
            name: folder.file_name().unwrap_or(folder.as_os_str()).to_string_lossy().into_owned(),
            folder: folder.to_path_buf(),
            metrics: Metrics::read(&folder.join(METRICS_FILE))?,
            diverged: Diverged::read(folder, config.run.steps)?,
            parameters: vocabulary.ok().map(|size| config.model.parameter_count(size, config.run.context)),
            record: RunRecord::read(folder).ok(),
            config,
        })
    }

    /// The least loss on the validation split that any model could have, nats per token, where the text's entropy is
    /// known and a token is a character.
    pub(crate) fn floor(&self) -> Option<f64> {
        let record = self.record.as_ref().filter(|_| matches!(self.config.tokenizer, TokenizerConfig::Character(_)))?;
        record.validation_floor
    }

    /// Updates made, as far as they are logged.
    pub(crate) fn steps(&self) -> u64 {
        let logged = self.metrics.steps.last().map_or(0, |entry| entry.step);
        logged.max(self.last_evaluation().map_or(0, |entry| entry.step))
    }

    /// Tokens trained on, those of skipped updates too.
    pub(crate) fn tokens(&self) -> u64 {
        self.steps().saturating_mul(self.config.run.tokens_per_step())
    }

    /// Seconds of training alone, without evaluations and saving.
    pub(crate) fn seconds(&self) -> f64 {
        self.clock().last().map_or(0.0, |(_, seconds)| *seconds)
    }

    /// Tokens per second over the whole run, training alone.
    pub(crate) fn tokens_per_second(&self) -> Option<f64> {
        let tokens = self.metrics.steps.last()?.tokens as f64;
        Some(tokens / self.seconds()).filter(|speed| speed.is_finite())
    }

    pub(crate) fn last_evaluation(&self) -> Option<&EvaluationEntry> {
        self.metrics.evaluations.last()
    }

    /// The evaluation of the lowest loss.
    pub(crate) fn best_evaluation(&self) -> Option<&EvaluationEntry> {
        self.metrics.evaluations.iter().min_by(|left, right| left.valid_loss.total_cmp(&right.valid_loss))
    }

    /// The rate of the last logged update.
    pub(crate) fn final_rate(&self) -> Option<f64> {
        self.metrics.steps.last().map(|entry| entry.learning_rate)
    }

    /// The hash of its tokenizer: where it differs, nats per token can't be compared.
    pub(crate) fn tokenizer_hash(&self) -> Option<&str> {
        self.record.as_ref().map(|record| record.tokenizer_hash.as_str())
    }

    /// The hash of the text that it is evaluated on: where it differs, no losses can be compared.
    pub(crate) fn validation_text(&self) -> Option<&str> {
        self.record.as_ref().map(|record| record.validation_text_hash.as_str())
    }

    /// Logged steps with the seconds of training until then.
    fn clock(&self) -> Vec<(u64, f64)> {
        let (mut tokens, mut seconds) = (0, 0.0);
        let tick = |entry: &kiln_training::run::StepEntry| {
            let more = entry.tokens.saturating_sub(tokens) as f64 / entry.tokens_per_second;
            tokens = entry.tokens;
            // A speed that could not be measured takes no time.
            seconds += if more.is_finite() { more } else { 0.0 };
            (entry.step, seconds)
        };
        self.metrics.steps.iter().map(tick).collect()
    }
}

/// Whether all that say something say the same.
pub(crate) fn agree<'a>(runs: impl IntoIterator<Item = &'a RecordedRun>, of: fn(&RecordedRun) -> Option<&str>) -> bool {
    let mut said = runs.into_iter().filter_map(of);
    said.next().is_none_or(|first| said.all(|other| other == first))
}
