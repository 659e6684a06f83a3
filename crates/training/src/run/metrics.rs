//! `metrics.jsonl`: one object a line, what a run measured.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Seek, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{FolderError, Rollback};

/// The line of a logged training step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepEntry {
    /// Updates made, this one included.
    pub step: u64,
    /// Tokens trained on, this step included.
    pub tokens: u64,
    /// Mean training loss of this step's batch, nats per token.
    pub train_loss: f64,
    /// The rate of this step's update.
    pub learning_rate: f64,
    /// The global gradient norm before clipping.
    pub gradient_norm: f64,
    /// Tokens per second since the last logged step, training alone, without evaluation, samples and saving.
    pub tokens_per_second: f64,
    /// Where the noise was measured: the variance of this update's gradient, summed over all parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gradient_noise: Option<f64>,
    /// Where the noise was measured and has a scale so far: the simple noise scale, in windows, of the running means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise_scale: Option<f64>,
    /// Where it was measured: the curvature of the loss along the gradient, before the update.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sharpness: Option<f64>,
}

/// The line of an evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvaluationEntry {
    /// Updates made.
    pub step: u64,
    /// Validation loss, nats per token.
    pub valid_loss: f64,
    /// exp(validation loss); infinite, and `null` in the file, from a loss of 710 on.
    #[serde(deserialize_with = "null_is_infinite")]
    pub perplexity: f64,
    /// Validation loss in bits per UTF-8 byte of the text.
    pub bits_per_byte: f64,
    /// Predictions that were scored.
    pub tokens: u64,
}

/// The line of a step whose update was not made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SkipEntry {
    /// The step.
    pub step: u64,
    /// What was not finite: `loss` or `gradient norm`.
    pub skipped: String,
    /// Its value, as text: JSON has no such numbers.
    pub value: String,
    /// The first and the last of its batches, counted from 0 in the order of the data.
    pub batches: [u64; 2],
}

/// The line of a return to an earlier checkpoint. The lines of the steps in between are gone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RollbackEntry {
    /// The step after that of the checkpoint.
    pub step: u64,
    /// From where, to where, and why.
    pub rolled_back: Rollback,
}

/// JSON has no infinity and writes `null` for it.
fn null_is_infinite<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::INFINITY))
}

/// The log of a run, appended to.
pub struct MetricsLog {
    path: PathBuf,
    file: File,
}

impl MetricsLog {
    /// Opens the log of a run that goes on after `step` updates: lines of later steps, and a torn last line, are cut off.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn open(path: &Path, step: u64) -> Result<Self, FolderError> {
        let io = |source| FolderError::Io { path: path.to_path_buf(), doing: "open the metrics log", source };
        let file = OpenOptions::new().create(true).read(true).append(true).open(path).map_err(io)?;
        let mut log = Self { path: path.to_path_buf(), file };
        log.cut(step)?;
        Ok(log)
    }

    /// Cuts off the lines of steps after `step`, and a torn last line.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn cut(&mut self, step: u64) -> Result<(), FolderError> {
        let io = |source| FolderError::Io { path: self.path.clone(), doing: "cut the metrics log", source };
        self.file.rewind().map_err(io)?;
        let kept = kept_bytes(&self.file, step).map_err(io)?;
        self.file.set_len(kept).map_err(io)
    }

    /// Appends one line.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn append(&mut self, entry: &impl Serialize) -> Result<(), FolderError> {
        let io = |source| FolderError::Io { path: self.path.clone(), doing: "append to the metrics log", source };
        let mut line = serde_json::to_vec(entry).map_err(|error| io(error.into()))?;
        line.push(b'\n');
        self.file.write_all(&line).map_err(io)
    }
}

/// The lines of a log, in order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metrics {
    /// Logged training steps.
    pub steps: Vec<StepEntry>,
    /// Evaluations.
    pub evaluations: Vec<EvaluationEntry>,
    /// Steps whose update was not made.
    pub skips: Vec<SkipEntry>,
    /// Returns to an earlier checkpoint.
    pub rollbacks: Vec<RollbackEntry>,
}

impl Metrics {
    /// Reads a log, up to a torn last line. Where there is no file, nothing was logged.
    ///
    /// # Errors
    /// When the file cannot be read, or a line in it is none that this program writes.
    pub fn read(path: &Path) -> Result<Self, FolderError> {
        let io = |source| FolderError::Io { path: path.to_path_buf(), doing: "read the metrics log", source };
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(io(error)),
        };
        let mut metrics = Self::default();
        for (index, line) in text.split_inclusive('\n').take_while(|line| line.ends_with('\n')).enumerate() {
            if let Ok(entry) = serde_json::from_str(line) {
                metrics.steps.push(entry);
            } else if let Ok(entry) = serde_json::from_str(line) {
                metrics.skips.push(entry);
            } else if let Ok(entry) = serde_json::from_str(line) {
                metrics.rollbacks.push(entry);
            } else {
                let entry = serde_json::from_str(line).map_err(|error| {
                    let message = format!("line {} is damaged: {error}", index + 1);
                    io(std::io::Error::new(std::io::ErrorKind::InvalidData, message))
                })?;
                metrics.evaluations.push(entry);
            }
        }
        Ok(metrics)
    }
}

/// How many bytes from the start hold whole lines of steps up to `step`.
fn kept_bytes(file: &File, step: u64) -> std::io::Result<u64> {
    #[derive(Deserialize)]
    struct AnyEntry {
        step: u64,
    }
    /// No line that this program writes comes near; a longer one is damage.
    const LONGEST_LINE: u64 = 1 << 20;
    let mut reader = BufReader::new(file);
    let mut kept = 0;
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = std::io::Read::take(&mut reader, LONGEST_LINE).read_until(b'\n', &mut line)?;
        let whole = line.last() == Some(&b'\n');
        let belongs = serde_json::from_slice::<AnyEntry>(&line).is_ok_and(|entry| entry.step <= step);
        if read == 0 || !whole || !belongs {
            return Ok(kept);
        }
        kept += read as u64;
    }
}
