//! A run: what it is, its checkpoints, its history.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use kiln_models::saved::{Lineage, read_description, read_formats};
use kiln_storage::StorageError;
use kiln_training::run::{Best, HistoryEntry, RunRecord, RunState, RunSurvey};
use serde::Serialize;

use super::checkpoint::{compressed_words, damage_words, format_words};
use super::report::Report;
use crate::runs::{keeps_weights_only, weights_of};
use crate::sizes;
use crate::training_display::grouped;

/// The report of `kiln inspect RUN`.
#[derive(Debug, Serialize)]
pub(super) struct RunReport {
    run: String,
    /// `training`, `done`, `stopped` or `damaged`.
    state: &'static str,
    /// Whether no checkpoint has more than weights, so that training cannot resume.
    weights_only: bool,
    /// The process that trains.
    process: Option<u32>,
    model: Option<ModelReport>,
    /// What was done to make it smaller.
    compressed: Vec<String>,
    /// Numbers of its best or newest checkpoint by their format.
    formats: BTreeMap<String, u64>,
    /// Steps made, and steps to make.
    step: u64,
    steps: Option<u64>,
    /// Where it comes from.
    record: Option<RunRecord>,
    best: Option<Best>,
    /// The step of the checkpoint that the file `best` names.
    best_checkpoint: Option<u64>,
    checkpoints: Vec<CheckpointReport>,
    /// What a process that was killed left half written; the next one that trains removes it.
    leftovers: Vec<String>,
    history: Vec<HistoryEntry>,
    bytes: u64,
    /// Everything that is wrong.
    damage: Vec<String>,
}

#[derive(Debug, Serialize)]
struct ModelReport {
    name: &'static str,
    /// The table of the configuration.
    settings: kiln_models::ModelConfig,
    context: usize,
    vocabulary: Option<usize>,
    parameters: Option<u64>,
}

#[derive(Debug, Serialize)]
struct CheckpointReport {
    step: u64,
    bytes: u64,
    /// Which file is damaged, and how; nothing where it is whole.
    damage: Option<String>,
}

/// Looks into a run.
pub(super) fn report(path: &Path) -> Result<RunReport, StorageError> {
    let survey = RunSurvey::of(path)?;
    let (state, process) = match survey.state() {
        RunState::Training(trainer) => ("training", trainer.process),
        RunState::Damaged => ("damaged", None),
        RunState::Done => ("done", None),
        RunState::Stopped => ("stopped", None),
    };
    let (best, damage, step) = (survey.best_evaluation(), survey.all_damage(), survey.steps());
    let model = survey.config.as_ref().map(|config| ModelReport {
        name: config.model.name(),
        settings: config.model.clone(),
        context: config.run.context,
        vocabulary: survey.vocabulary,
        parameters: survey.vocabulary.map(|size| config.model.parameter_count(size, config.run.context)),
    });
    let weights = weights_of(path, &survey);
    // What can't be read is damage, which is reported by itself.
    let compressed = weights.as_deref().and_then(|path| read_description(path).ok());
    let formats = weights.as_deref().and_then(|path| read_formats(path).ok()).unwrap_or_default();
    let checkpoints = survey.checkpoints.into_iter().map(|checkpoint| CheckpointReport {
        step: checkpoint.step,
        bytes: checkpoint.bytes,
        damage: checkpoint.damage,
    });
    Ok(RunReport {
        run: path.display().to_string(),
        state,
        weights_only: keeps_weights_only(path),
        process,
        model,
        compressed: compressed.map(|description| description.compressed).unwrap_or_default(),
        formats,
        step,
        steps: survey.config.map(|config| config.run.steps),
        record: survey.record,
        best,
        best_checkpoint: survey.best,
        checkpoints: checkpoints.collect(),
        leftovers: survey.leftovers.iter().map(|path| path.display().to_string()).collect(),
        history: survey.history,
        bytes: survey.bytes,
        damage,
    })
}

impl Report for RunReport {
    fn words(&self) -> String {
        let by = self.process.map(|process| format!(" now by process {process}")).unwrap_or_default();
        let steps = self.steps.map(|steps| format!(" of {}", grouped(steps))).unwrap_or_default();
        let weights = if self.weights_only { ", weights only" } else { "" };
        let mut text = format!("run         {}, {}\n", self.run, sizes::bytes(self.bytes));
        let _ = writeln!(text, "state       {}{by}, {}{steps} steps{weights}", self.state, grouped(self.step));
        if let Some(model) = &self.model {
            let count = model.parameters.map(|count| format!(", {} parameters", grouped(count))).unwrap_or_default();
            let size = model.vocabulary.map(|size| format!(", {} tokens", grouped(size as u64))).unwrap_or_default();
            let _ = writeln!(text, "model       {}{count}{size}, context of {}", model.name, model.context);
        }
        text += &compressed_words(&self.compressed);
        if !self.formats.is_empty() {
            let _ = writeln!(text, "numbers     {}", format_words(&self.formats));
        }
        if let Some(record) = &self.record {
            let _ = writeln!(text, "started     on {}, seed {}, by Kiln {}", record.device, record.seed, record.kiln);
            for (what, lineage) in [("from", &record.start), ("teacher", &record.teacher)] {
                if let Some(Lineage { path, sha256, .. }) = lineage {
                    let _ = writeln!(text, "{what:<12}{path}, SHA-256 {sha256}");
                }
            }
            let _ = writeln!(text, "tokenizer   BLAKE3 {}", record.tokenizer_hash);
            let _ = writeln!(text, "training    BLAKE3 {}", record.train_text_hash);
            let _ = writeln!(text, "validation  BLAKE3 {}", record.validation_text_hash);
            if record.conversing.is_some() {
                text += "conversation it learned from some; `kiln chat` holds one\n";
            }
        }
        if let Some(best) = &self.best {
            let _ = writeln!(text, "best        {:.4} nats/token after step {}", best.loss, best.step);
        }
        text += &self.checkpoint_words();
        for leftover in &self.leftovers {
            let _ = writeln!(text, "leftover    {leftover}, which `kiln resume` clears away");
        }
        text += &self.history_words();
        text + &damage_words(&self.damage)
    }

    fn is_whole(&self) -> bool {
        self.damage.is_empty()
    }
}

impl RunReport {
    fn checkpoint_words(&self) -> String {
        let mut text = "checkpoints\n".to_owned();
        for checkpoint in &self.checkpoints {
            let best = if self.best_checkpoint == Some(checkpoint.step) { ", the best" } else { "" };
            let state =
                checkpoint.damage.as_ref().map_or_else(|| "whole".to_owned(), |damage| format!("DAMAGED: {damage}"));
            let (step, bytes) = (checkpoint.step, sizes::bytes(checkpoint.bytes));
            let _ = writeln!(text, "  step {step:>8}  {bytes:>10}  {state}{best}");
        }
        if self.checkpoints.is_empty() { text + "  none\n" } else { text }
    }

    fn history_words(&self) -> String {
        let mut text = "history\n".to_owned();
        for entry in &self.history {
            let _ = writeln!(text, "  from step {:>8}  on {}, by Kiln {}", entry.step, entry.device, entry.kiln);
            for change in &entry.changes {
                let _ = writeln!(text, "    {change}");
            }
        }
        if self.history.is_empty() { text + "  none\n" } else { text }
    }
}
