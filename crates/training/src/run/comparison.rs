//! Two runs of one configuration, compared bit by bit.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use burn::tensor::TensorData;
use kiln_settings::files::{Content, Links, read_regular};
use kiln_storage::layout::{BEST_FILE, CHECKPOINTS, METRICS_FILE};
use kiln_storage::{
    DiskFiles, FoundCheckpoint, ManifestFile, StorageError, TensorSource, Which, best_step, find_checkpoint,
    open_tensors,
};
use serde_json::Value;

use super::error::{CheckpointError, FolderError, io};
use super::metrics::Metrics;

/// What the newest checkpoints and the logs of two runs have in common.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Comparison {
    /// Bytes of the checkpoints that were compared.
    pub bytes: u64,
    /// Lines of the logs that were compared.
    pub lines: usize,
    /// Everything that differs, the first place of each file.
    pub differences: Vec<Difference>,
    /// The largest difference of two training losses of the same step, nats per token, and that step.
    pub loss: Option<(u64, f64)>,
}

/// The first place where a file of one run differs from that of the other.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// The file, in its run folder.
    pub file: String,
    /// Where in it, and what stands there in the one run and in the other.
    pub place: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.file, self.place)
    }
}

impl Comparison {
    /// Compares the newest checkpoints of two runs, file by file, which checkpoint is the best, and their logs line by
    /// line, but for the speed. Which older checkpoints were kept may differ: a stop saves one of its own.
    ///
    /// # Errors
    /// When a run has no whole checkpoint, or a file cannot be read.
    pub fn of(first: &Path, second: &Path) -> Result<Self, CheckpointError> {
        let mut comparison = Self::default();
        comparison.compare_checkpoints(first, second)?;
        let bests = [first, second].map(|run| best_step(&DiskFiles, run));
        if bests[0] != bests[1] {
            let [one, other] = bests.map(|best| best.map_or("nothing".to_string(), |step| format!("step {step}")));
            comparison.differ(BEST_FILE, format!("names {one}, and {other}"));
        }
        comparison.compare_logs(first, second)?;
        Ok(comparison)
    }

    fn differ(&mut self, file: &str, place: String) {
        self.differences.push(Difference { file: file.to_string(), place });
    }

    fn compare_checkpoints(&mut self, first: &Path, second: &Path) -> Result<(), CheckpointError> {
        let [first, second] = [find_checkpoint(first, Which::Last)?, find_checkpoint(second, Which::Last)?];
        if first.manifest.step != second.manifest.step {
            let place = format!("the newest is of step {}, and of step {}", first.manifest.step, second.manifest.step);
            self.differ(CHECKPOINTS, place);
            return Ok(());
        }
        let files = |found: &FoundCheckpoint| -> BTreeMap<String, ManifestFile> {
            found.manifest.files.iter().map(|file| (file.name.clone(), file.clone())).collect()
        };
        let (ones, others) = (files(&first), files(&second));
        for name in ones.keys().chain(others.keys().filter(|name| !ones.contains_key(*name))) {
            let place = match (ones.get(name), others.get(name)) {
                (Some(one), Some(other)) => {
                    self.bytes += one.bytes;
                    // Both were verified, so that equal hashes are equal files.
                    let differs = (one.bytes, &one.blake3) != (other.bytes, &other.blake3);
                    differs
                        .then(|| first_difference(&first.folder.join(name), &second.folder.join(name)))
                        .transpose()?
                }
                (Some(_), None) => Some("is missing in the second run".to_string()),
                _ => Some("is missing in the first run".to_string()),
            };
            if let Some(place) = place {
                self.differ(name, place);
            }
        }
        Ok(())
    }

    fn compare_logs(&mut self, first: &Path, second: &Path) -> Result<(), CheckpointError> {
        let (first, second) = (first.join(METRICS_FILE), second.join(METRICS_FILE));
        let (one, other) = (lines(&first)?, lines(&second)?);
        self.lines = one.len();
        let difference = one.iter().zip(&other).position(|(one, other)| one != other);
        if let Some(index) = difference {
            let place = first_value("", &one[index], &other[index]).unwrap_or_default();
            self.differ(METRICS_FILE, format!("line {}{place}", index + 1));
        } else if one.len() != other.len() {
            self.differ(METRICS_FILE, format!("{} lines, and {}", one.len(), other.len()));
        }
        let [one, other] = [Metrics::read(&first)?, Metrics::read(&second)?];
        let gaps = one.steps.iter().zip(&other.steps).filter(|(one, other)| one.step == other.step);
        let gaps = gaps.map(|(one, other)| (one.step, (one.train_loss - other.train_loss).abs()));
        self.loss = gaps.max_by(|one, other| one.1.total_cmp(&other.1));
        Ok(())
    }
}

/// Where two files differ that are not the same.
fn first_difference(first: &Path, second: &Path) -> Result<String, CheckpointError> {
    if first.extension().is_some_and(|extension| extension == "safetensors") {
        return Ok(tensor_difference(first, second)?);
    }
    let (one, other) = (read(first)?, read(second)?);
    let values = [&one, &other].map(|bytes| serde_json::from_slice::<Value>(bytes).unwrap_or_default());
    Ok(first_value("", &values[0], &values[1]).unwrap_or_else(|| "the bytes differ".to_string()))
}

/// The same of tensor files, of which one tensor at a time is read.
fn tensor_difference(first: &Path, second: &Path) -> Result<String, StorageError> {
    let (mut one, mut other) = (open_tensors(first, Links::Refused)?, open_tensors(second, Links::Refused)?);
    let mut names = one.names();
    names.sort();
    for name in names {
        if other.info(&name).is_none() {
            return Ok(format!("`{name}` is missing in the second run"));
        }
        let data = one.read(&name).map_err(|error| StorageError::tensors(error, first, "read"))?;
        let others = other.read(&name).map_err(|error| StorageError::tensors(error, second, "read"))?;
        if let Some(place) = first_number(&name, &data, &others) {
            return Ok(place);
        }
    }
    Ok("the same numbers under another header".to_string())
}

fn read(path: &Path) -> Result<Vec<u8>, FolderError> {
    // The checkpoints were verified, and what is compared may be as long as the disk allows.
    let bytes = read_regular(path, Links::Followed, u64::MAX - 1).and_then(Content::into_bytes);
    bytes.map_err(|source| io(path, "read", source))
}

/// The lines of a log without what no two runs have in common: how fast they were.
fn lines(path: &Path) -> Result<Vec<Value>, FolderError> {
    let text = read(path)?;
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(|line| {
        let mut line = serde_json::from_slice::<Value>(line).unwrap_or_default();
        if let Some(object) = line.as_object_mut() {
            object.remove("tokens_per_second");
        }
        line
    });
    Ok(lines.collect())
}

fn first_number(name: &str, first: &TensorData, second: &TensorData) -> Option<String> {
    if first == second {
        return None;
    }
    let numbers = first.iter::<f64>().zip(second.iter::<f64>()).enumerate();
    let differing = numbers.filter(|(_, (first, second))| first.to_bits() != second.to_bits()).collect::<Vec<_>>();
    let Some((index, (one, other))) = differing.first() else {
        return Some(format!("`{name}` has another shape or type"));
    };
    Some(format!("{} numbers of `{name}`, the first at index {index}: {one:e} and {other:e}", differing.len()))
}

/// The first place where two values differ, as ` key.key: one and other`.
fn first_value(place: &str, first: &Value, second: &Value) -> Option<String> {
    match (first, second) {
        (Value::Object(one), Value::Object(other)) => {
            let keys: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            keys.into_iter().find_map(|key| {
                let place = if place.is_empty() { key.clone() } else { format!("{place}.{key}") };
                first_value(&place, one.get(key).unwrap_or(&Value::Null), other.get(key).unwrap_or(&Value::Null))
            })
        }
        _ if first == second => None,
        _ => Some(format!(" {place}: {first} and {second}")),
    }
}
