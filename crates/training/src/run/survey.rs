//! A run looked at from outside: what it is, how far it is, and what is wrong with it. Nothing is written, and damage
//! is part of the answer.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use kiln_models::Tokenizer;
use kiln_settings::ConfigFileError;
use kiln_storage::layout::{
    BEST_FILE, CHECKPOINTS, CONFIG_FILE, HISTORY_FILE, METRICS_FILE, RECORD_FILE, TOKENIZER_FILE, TRAINING_STATE_FILE,
};
use kiln_storage::{DiskFiles, StorageError, best_step, checkpoint_folder, is_there, list_checkpoints, list_leftovers};

use super::checkpoint::{Best, LoopState};
use super::history::{HistoryEntry, history};
use super::lock::{Trainer, trainer};
use super::metrics::{EvaluationEntry, Metrics};
use super::record::RunRecord;
use crate::config::Config;

/// What a run folder holds. What cannot be read is left out here and reported in `damage`.
#[derive(Debug)]
pub struct RunSurvey {
    /// The resolved configuration.
    pub config: Option<Config>,
    /// Where the run comes from.
    pub record: Option<RunRecord>,
    /// Tokens of its vocabulary.
    pub vocabulary: Option<usize>,
    /// Each time that it was started or resumed.
    pub history: Vec<HistoryEntry>,
    /// Every checkpoint, oldest first.
    pub checkpoints: Vec<CheckpointSurvey>,
    /// The step that the file `best` names.
    pub best: Option<u64>,
    /// The last step in the log.
    pub logged: Option<u64>,
    /// The evaluations in the log.
    pub evaluations: Vec<EvaluationEntry>,
    /// What a process that was killed left half written.
    pub leftovers: Vec<PathBuf>,
    /// The process that trains it at the moment.
    pub trainer: Option<Trainer>,
    /// Bytes of all its files.
    pub bytes: u64,
    /// When a file in it was last changed.
    pub changed: Option<SystemTime>,
    /// What is wrong with the files beside the checkpoints.
    pub damage: Vec<String>,
}

/// A checkpoint of a run.
#[derive(Debug)]
pub struct CheckpointSurvey {
    /// Updates made before it, by its name.
    pub step: u64,
    /// Its folder.
    pub folder: PathBuf,
    /// Bytes of all its files.
    pub bytes: u64,
    /// Where the loop was; nothing where it is damaged, or a model was made of another that is no longer trained.
    pub state: Option<LoopState>,
    /// Which file is damaged, and how; nothing where it is whole.
    pub damage: Option<String>,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    /// It is being trained at the moment.
    Training(Trainer),
    /// Something in it is damaged.
    Damaged,
    /// It has made its steps, or ended early as its patience asks.
    Done,
    /// It can be resumed.
    Stopped,
}

impl RunSurvey {
    /// Looks at a run, and verifies all its checkpoints: this reads all their files.
    ///
    /// # Errors
    /// When a folder in it cannot be listed.
    pub fn of(run: &Path) -> Result<Self, StorageError> {
        let (bytes, changed) = measure(run);
        let mut survey = Self {
            config: None,
            record: None,
            vocabulary: None,
            history: Vec::new(),
            checkpoints: checkpoints(run)?,
            best: best_step(&DiskFiles, run),
            logged: None,
            evaluations: Vec::new(),
            leftovers: list_leftovers(run)?,
            trainer: trainer(run),
            bytes,
            changed,
            damage: Vec::new(),
        };
        survey.read_documents(run);
        Ok(survey)
    }

    fn read_documents(&mut self, run: &Path) {
        let saved = !self.checkpoints.is_empty();
        // Before its first checkpoint a run that was killed may lack any of them; it starts anew then.
        if saved || run.join(CONFIG_FILE).exists() {
            self.config =
                self.note(CONFIG_FILE, Config::open(&run.join(CONFIG_FILE), &[]).map_err(|error| first_line(&error)));
        }
        if saved || run.join(RECORD_FILE).exists() {
            self.record = self.note(RECORD_FILE, RunRecord::read(run).map_err(|error| error.to_string()));
        }
        if saved || run.join(TOKENIZER_FILE).exists() {
            let tokenizer = Tokenizer::from_file(&run.join(TOKENIZER_FILE)).map_err(|error| error.to_string());
            self.vocabulary = self.note(TOKENIZER_FILE, tokenizer).map(|tokenizer| tokenizer.vocabulary_size());
        }
        self.history = self.note(HISTORY_FILE, history(run).map_err(|error| error.to_string())).unwrap_or_default();
        let metrics = Metrics::read(&run.join(METRICS_FILE)).map_err(|error| error.to_string());
        let metrics = self.note(METRICS_FILE, metrics).unwrap_or_default();
        self.logged = metrics.steps.last().map(|entry| entry.step);
        self.evaluations = metrics.evaluations;
        if let Some(step) = self.best.filter(|&step| !is_there(&checkpoint_folder(run, step))) {
            self.damage.push(format!("`{BEST_FILE}` names the checkpoint of step {step}, which is not there"));
        }
    }

    /// The value that was read; or its problem, with the name of the file, among the damage.
    fn note<T>(&mut self, file: &str, read: Result<T, String>) -> Option<T> {
        read.map_err(|problem| {
            let names_it = problem.contains(file);
            self.damage.push(if names_it { problem } else { format!("`{file}`: {problem}") });
        })
        .ok()
    }

    /// Everything that is wrong, with the checkpoints.
    pub fn all_damage(&self) -> Vec<String> {
        let of_checkpoint = |checkpoint: &CheckpointSurvey| {
            checkpoint.damage.as_ref().map(|damage| format!("checkpoint of step {}: {damage}", checkpoint.step))
        };
        self.damage.iter().cloned().chain(self.checkpoints.iter().filter_map(of_checkpoint)).collect()
    }

    /// Where the newest whole checkpoint was.
    pub fn newest(&self) -> Option<&LoopState> {
        self.checkpoints.iter().rev().find_map(|checkpoint| checkpoint.state.as_ref())
    }

    /// Steps made: those that are saved; of a run that is being trained, those that are logged.
    pub fn steps(&self) -> u64 {
        let whole = self.checkpoints.iter().rev().find(|checkpoint| checkpoint.damage.is_none());
        let saved = whole.map_or(0, |checkpoint| checkpoint.step);
        if self.trainer.is_some() { saved.max(self.logged.unwrap_or(0)) } else { saved }
    }

    /// The best evaluation, as far as it is saved.
    pub fn best_evaluation(&self) -> Option<Best> {
        self.newest().and_then(|state| state.best)
    }

    /// Bits per byte of the best evaluation, where it is in the log.
    pub fn best_bits_per_byte(&self) -> Option<f64> {
        let best = self.best_evaluation()?;
        Some(self.evaluations.iter().find(|entry| entry.step == best.step)?.bits_per_byte)
    }

    /// Parameters of the model, as far as configuration and tokenizer say.
    pub fn parameters(&self) -> Option<u64> {
        let (config, vocabulary) = (self.config.as_ref()?, self.vocabulary?);
        Some(config.model.parameter_count(vocabulary, config.run.context))
    }

    /// How far the run is.
    pub fn state(&self) -> RunState {
        if let Some(trainer) = self.trainer {
            return RunState::Training(trainer);
        }
        if !self.all_damage().is_empty() {
            return RunState::Damaged;
        }
        let (Some(config), Some(state)) = (&self.config, self.newest()) else {
            // One that was made of another is trained no further.
            return if self.checkpoints.is_empty() { RunState::Stopped } else { RunState::Done };
        };
        let early = config.run.patience.is_some_and(|patience| state.worse_evaluations >= patience);
        if state.step >= config.run.steps || early { RunState::Done } else { RunState::Stopped }
    }
}

/// The checkpoints that stay while they are looked at: one that a trainer removes meanwhile is not damaged.
fn checkpoints(run: &Path) -> Result<Vec<CheckpointSurvey>, StorageError> {
    let found = list_checkpoints(run)?.into_iter().map(|entry| {
        let state = entry.valid.map_err(|error| match error {
            StorageError::Damaged { problem, .. } => problem,
            other => other.to_string(),
        });
        let state = state.and_then(|manifest| {
            let is_of_training = manifest.lists(TRAINING_STATE_FILE);
            is_of_training.then(|| LoopState::read(&entry.folder)).transpose().map_err(|error| error.to_string())
        });
        let (bytes, _) = measure(&entry.folder);
        let damage = state.as_ref().err().cloned();
        CheckpointSurvey { step: entry.step, folder: entry.folder, bytes, state: state.ok().flatten(), damage }
    });
    Ok(found.filter(|checkpoint| checkpoint.damage.is_none() || is_there(&checkpoint.folder)).collect())
}

/// Bytes of all files below a folder, and when one was last changed, as far as the system says. Links are not followed.
pub(super) fn measure(folder: &Path) -> (u64, Option<SystemTime>) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.fold((0, None), |(bytes, changed), entry| {
        let is_moved_folder = entry.file_name() == CHECKPOINTS && entry.path().is_symlink();
        // Of links only that one is followed: what it leads to belongs to the run.
        let metadata = if is_moved_folder { fs::metadata(entry.path()) } else { entry.metadata() };
        let Ok(metadata) = metadata else { return (bytes, changed) };
        let (more, later) =
            if metadata.is_dir() { measure(&entry.path()) } else { (metadata.len(), metadata.modified().ok()) };
        (bytes + more, changed.max(later))
    })
}

/// The first mistake of a configuration, in one line.
fn first_line(error: &ConfigFileError) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}
