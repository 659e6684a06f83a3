//! A checkpoint: its files, its model, its tensors, and where training was.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use kiln_models::saved::{Lineage, ModelDescription, describe};
use kiln_storage::layout::{MANIFEST_FILE, TRAINING_STATE_FILE, WEIGHTS_FILE};
use kiln_storage::{FileReport, StorageError, TensorReport, inspect_checkpoint};
use kiln_training::run::LoopState;
use serde::Serialize;

use super::report::Report;
use crate::sizes;
use crate::training_display::grouped;

/// The report of `kiln inspect CHECKPOINT`.
#[derive(Debug, Serialize)]
pub(super) struct CheckpointReport {
    checkpoint: String,
    /// Updates made before it was written, as its manifest says; nothing where that cannot be read.
    step: Option<u64>,
    /// The version of Kiln that wrote it.
    kiln: Option<String>,
    files: Vec<FileReport>,
    /// What the weights say of their model; nothing where they cannot be read.
    description: Option<ModelDescription>,
    /// Numbers of the model by their format.
    formats: BTreeMap<String, u64>,
    tensors: Vec<TensorReport>,
    /// Everything that is wrong.
    damage: Vec<String>,
    /// Where training was; nothing where that cannot be read.
    training: Option<LoopState>,
}

/// Looks into a checkpoint.
pub(super) fn report(folder: &Path) -> Result<CheckpointReport, StorageError> {
    let contents = inspect_checkpoint(folder)?;
    let mut damage = contents.damage;
    let weights = contents.texts.get(WEIGHTS_FILE).map(|texts| describe(&folder.join(WEIGHTS_FILE), texts));
    let description = match weights {
        Some(Err(error)) => {
            damage.push(error.to_string());
            None
        }
        other => other.and_then(Result::ok),
    };
    let is_of_training = contents.files.iter().any(|file| file.name == TRAINING_STATE_FILE);
    let is_made_of_another = !is_of_training && contents.step.is_some();
    let training = match LoopState::read(folder) {
        Ok(state) => Some(state),
        Err(_) if is_made_of_another => None,
        Err(error) => {
            // Where the manifest says the same of this file, once is enough.
            let file = format!("`{TRAINING_STATE_FILE}`");
            let is_reported = damage.iter().any(|damage| damage.starts_with(&file));
            damage.extend((!is_reported).then(|| error.to_string()));
            None
        }
    };
    let (checkpoint, step, kiln) = (folder.display().to_string(), contents.step, contents.kiln);
    let (files, tensors) = (contents.files, contents.tensors);
    let mut formats = BTreeMap::new();
    for tensor in tensors.iter().filter(|tensor| tensor.file == WEIGHTS_FILE) {
        *formats.entry(tensor.number_type.clone()).or_insert(0) += tensor.shape.iter().product::<usize>() as u64;
    }
    Ok(CheckpointReport { checkpoint, step, kiln, files, description, formats, tensors, damage, training })
}

impl Report for CheckpointReport {
    fn words(&self) -> String {
        let mut text = format!("checkpoint  {}\n", self.checkpoint);
        if let (Some(step), Some(kiln)) = (self.step, &self.kiln) {
            let _ = writeln!(text, "written     after step {step}, by Kiln {kiln}");
        }
        if let Some(description) = &self.description {
            let model = serde_json::to_string(&description.model).unwrap_or_default();
            let (vocabulary, context) = (description.vocabulary_size, description.context);
            let _ =
                writeln!(text, "model       {}, {vocabulary} tokens, context of {context}", description.model.name());
            let _ = writeln!(text, "            {model}");
            text += &compressed_words(&description.compressed);
            let _ = writeln!(text, "numbers     {}", format_words(&self.formats));
            if let Some(adapter) = &description.adapter {
                let _ = writeln!(text, "adapter     {}", serde_json::to_string(adapter).unwrap_or_default());
            }
            if let Some(Lineage { path, sha256, .. }) = &description.base {
                let _ = writeln!(text, "base        {path}, SHA-256 {sha256}");
            }
            let _ = writeln!(text, "tokenizer   BLAKE3 {}", description.tokenizer_hash);
        }
        if let Some(state) = &self.training {
            text += &loop_words(state);
        }
        text += "files, each with its BLAKE3\n";
        for file in &self.files {
            let verified = match (&file.blake3, file.verified) {
                (_, true) => "verified",
                (None, false) if file.name != MANIFEST_FILE => "not in the manifest, never read",
                _ => "DAMAGED",
            };
            let bytes = file.bytes.map_or_else(|| "missing".to_owned(), sizes::bytes);
            let hash = file.blake3.as_deref().unwrap_or_default();
            let _ = writeln!(text, "  {:28} {bytes:>10}  {verified:9} {hash}", file.name);
        }
        let mut file = "";
        for tensor in &self.tensors {
            if tensor.file != file {
                file = &tensor.file;
                let _ = writeln!(text, "tensors of {file}");
            }
            let _ = writeln!(text, "  {:60} {:>5} {:?}", tensor.name, tensor.number_type, tensor.shape);
        }
        text + &damage_words(&self.damage)
    }

    fn is_whole(&self) -> bool {
        self.damage.is_empty()
    }
}

/// What was done to make a model smaller, a line each.
pub(super) fn compressed_words(steps: &[String]) -> String {
    steps.iter().map(|step| format!("compressed  {step}\n")).collect()
}

/// Numbers by their format.
pub(super) fn format_words(formats: &BTreeMap<String, u64>) -> String {
    formats.iter().map(|(format, count)| format!("{} {format}", grouped(*count))).collect::<Vec<_>>().join(", ")
}

/// Where training was.
fn loop_words(state: &LoopState) -> String {
    let mut text = format!("training    after {} steps, {} tokens\n", grouped(state.step), grouped(state.tokens));
    if let Some(best) = &state.best {
        let _ = writeln!(text, "best        {:.4} nats/token after step {}", best.loss, best.step);
    }
    let faults = &state.faults;
    let (skipped, passed, returns) = (faults.skipped, faults.batches_passed, faults.rollbacks.len());
    if (skipped, passed, returns) == (0, 0, 0) {
        text += "faults      none\n";
    } else {
        let _ = writeln!(
            text,
            "faults      {skipped} steps without an update, {passed} batches passed over, {returns} returns to an \
             earlier checkpoint"
        );
    }
    text
}

/// What is wrong, a line each; or that nothing is.
pub(super) fn damage_words(damage: &[String]) -> String {
    match damage {
        [] => "all is well\n".to_owned(),
        damage => damage.iter().map(|damage| format!("DAMAGED: {damage}\n")).collect(),
    }
}
