//! `metrics.jsonl`: one object a line, what a run measured.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kiln_settings::files::{Links, open_regular};
use kiln_storage::{DiskFiles, Files, OpenFile, StorageError, Writer};
use serde::{Deserialize, Serialize};

use super::error::FolderError;
use super::faults::Rollback;

/// The line of a logged training step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepEntry {
    /// Updates made, this one included.
    pub step: u64,
    /// Tokens trained on, this step included: those whose loss counted.
    pub tokens: u64,
    /// Mean training loss of this step's batch, nats per token.
    pub train_loss: f64,
    /// Where a teacher is learned from: the cross-entropy of the text within it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hard_loss: Option<f64>,
    /// Where a teacher is learned from: the divergence from its probabilities within it, times the temperature squared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soft_loss: Option<f64>,
    /// Of preferences: the mean of beta times how much more the model prefers the chosen answers than the start model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<f64>,
    /// Of preferences: the share of pairs where that is above 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
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
    /// How well pairs are translated, where some are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub translation: Option<TranslationScores>,
    /// Of preferences: as in the line of a step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<f64>,
    /// Of preferences: as in the line of a step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
}

/// How near the translations of some sources are to their targets.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TranslationScores {
    /// Pairs that were translated.
    pub pairs: u64,
    /// The part of them whose translation is the target, character by character.
    pub exact: f64,
    /// BLEU, 0 to 100 (Papineni et al. 2002, <https://doi.org/10.3115/1073083.1073135>; Post 2018,
    /// <https://arxiv.org/abs/1804.08771>).
    pub bleu: f64,
    /// chrF, 0 to 100 (Popovic 2015, <https://doi.org/10.18653/v1/W15-3049>).
    pub chrf: f64,
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

/// The line of a loss or a gradient norm far above what it was before; that of the step itself may be missing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpikeEntry {
    /// The step.
    pub step: u64,
    /// What was far above: `loss` or `gradient norm`.
    pub spike: String,
    /// Its value.
    pub value: f64,
    /// Its running mean before.
    pub usual: f64,
    /// By how many running standard deviations it is above that.
    pub deviations: f64,
}

/// JSON has no infinity and writes `null` for it.
fn null_is_infinite<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::INFINITY))
}

/// The log of a run, appended to.
pub struct MetricsLog {
    path: PathBuf,
    file: Arc<dyn OpenFile>,
    /// Bytes of whole lines.
    length: u64,
    /// Whether something follows them.
    is_torn: bool,
}

impl MetricsLog {
    /// Opens the log of a run that resumes after `step` updates: lines of later steps, and a torn last line, are cut
    /// off.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn open(path: &Path, step: u64) -> Result<Self, FolderError> {
        Self::open_in(&DiskFiles, path, step)
    }

    /// The same in another file system than the disk.
    ///
    /// # Errors
    /// As [`MetricsLog::open`].
    pub fn open_in(files: &dyn Files, path: &Path, step: u64) -> Result<Self, FolderError> {
        let io = |source| {
            FolderError::from(StorageError::Io { action: "open the metrics log", path: path.to_path_buf(), source })
        };
        let file = files.append_to(path).map_err(io)?;
        let mut log = Self { path: path.to_path_buf(), file: file.into(), length: 0, is_torn: false };
        log.cut(step)?;
        Ok(log)
    }

    /// Cuts off the lines of steps after `step`, and a torn last line.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn cut(&mut self, step: u64) -> Result<(), FolderError> {
        let io = |source| {
            FolderError::from(StorageError::Io { action: "cut the metrics log", path: self.path.clone(), source })
        };
        let kept = kept_bytes(self.file.reader().map_err(io)?, step).map_err(io)?;
        self.file.cut(kept).map_err(io)?;
        self.length = kept;
        self.is_torn = false;
        Ok(())
    }

    /// Appends one line.
    ///
    /// # Errors
    /// When the file cannot be written; what was written of the line is then cut off again, now or with the next one.
    pub fn append(&mut self, entry: &impl Serialize) -> Result<(), FolderError> {
        let io = |source| {
            FolderError::from(StorageError::Io { action: "append to the metrics log", path: self.path.clone(), source })
        };
        let mut line = serde_json::to_vec(entry).map_err(|error| io(error.into()))?;
        line.push(b'\n');
        if self.is_torn {
            self.file.cut(self.length).map_err(io)?;
            self.is_torn = false;
        }
        if let Err(error) = Writer(&*self.file).write_all(&line) {
            self.is_torn = self.file.cut(self.length).is_err();
            return Err(io(error));
        }
        self.length += line.len() as u64;
        Ok(())
    }

    /// The file, to flush it to the disk from another thread.
    pub fn file(&self) -> Arc<dyn OpenFile> {
        Arc::clone(&self.file)
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
    /// Losses and gradient norms far above what they were before.
    pub spikes: Vec<SpikeEntry>,
}

impl Metrics {
    /// Reads a log, up to a torn last line. Where there is no file, nothing was logged.
    ///
    /// # Errors
    /// When the file cannot be read, or a line in it isn't one that this program writes; the error names the line.
    pub fn read(path: &Path) -> Result<Self, FolderError> {
        let io = |source| {
            FolderError::from(StorageError::Io { action: "read the metrics log", path: path.to_path_buf(), source })
        };
        let file = match regular(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(io(error)),
        };
        let (mut metrics, mut lines) = (Self::default(), Lines::new(Box::new(file)));
        while let Some(line) = lines.next().map_err(io)? {
            metrics.add(line).map_err(|problem| io(lines.damaged(&problem)))?;
        }
        // A line without an end is a torn one, unless it is longer than any that was ever begun.
        if lines.too_long() {
            return Err(io(lines.damaged(&format!("it is longer than {LONGEST_LINE} bytes"))));
        }
        Ok(metrics)
    }

    /// Adds the entry that a line holds. A key that only one kind has says which it was meant to be.
    fn add(&mut self, line: &[u8]) -> Result<(), String> {
        let text = str::from_utf8(line).map_err(|error| format!("byte {} is not UTF-8", error.valid_up_to() + 1))?;
        let added = if text.contains("\"valid_loss\"") {
            serde_json::from_str(text).map(|entry| self.evaluations.push(entry))
        } else if text.contains("\"skipped\"") {
            serde_json::from_str(text).map(|entry| self.skips.push(entry))
        } else if text.contains("\"rolled_back\"") {
            serde_json::from_str(text).map(|entry| self.rollbacks.push(entry))
        } else if text.contains("\"spike\"") {
            serde_json::from_str(text).map(|entry| self.spikes.push(entry))
        } else {
            serde_json::from_str(text).map(|entry| self.steps.push(entry))
        };
        added.map_err(|error| format!("{error}, counted within it"))
    }
}

/// No line that this program writes comes near; a longer one is damage.
const LONGEST_LINE: u64 = 1 << 20;

/// The lines of a log in bounded memory.
struct Lines {
    reader: BufReader<Box<dyn Read>>,
    line: Vec<u8>,
    /// Lines given out.
    number: u64,
}

impl Lines {
    fn new(file: Box<dyn Read>) -> Self {
        Self { reader: BufReader::new(file), line: Vec::new(), number: 0 }
    }

    /// The next line with its end; `None` where the rest has no end.
    fn next(&mut self) -> std::io::Result<Option<&[u8]>> {
        self.line.clear();
        self.reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut self.line)?;
        self.number += 1;
        Ok((self.line.last() == Some(&b'\n')).then_some(&self.line))
    }

    /// Whether the line that was read last is longer than any.
    fn too_long(&self) -> bool {
        self.line.len() as u64 == LONGEST_LINE && self.line.last() != Some(&b'\n')
    }

    /// What is wrong with the line that was read last.
    fn damaged(&self, problem: &str) -> std::io::Error {
        std::io::Error::new(ErrorKind::InvalidData, format!("line {} is damaged: {problem}", self.number))
    }
}

/// A log that is there, for reading.
fn regular(path: &Path) -> std::io::Result<File> {
    open_regular(path, Links::Followed)?
        .ok_or_else(|| std::io::Error::new(ErrorKind::InvalidInput, "it is not a regular file"))
}

/// How many bytes from the start hold whole lines of steps up to `step`.
fn kept_bytes(file: Box<dyn Read>, step: u64) -> std::io::Result<u64> {
    #[derive(Deserialize)]
    struct AnyEntry {
        step: u64,
    }
    let (mut kept, mut lines) = (0, Lines::new(file));
    while let Some(line) = lines.next()? {
        if !serde_json::from_slice::<AnyEntry>(line).is_ok_and(|entry| entry.step <= step) {
            break;
        }
        kept += line.len() as u64;
    }
    Ok(kept)
}
