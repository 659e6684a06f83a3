//! A run on disk.
//!
//! ```text
//! runs/<name>/
//!   config.toml  tokenizer.json  run.json  metrics.jsonl  history.jsonl
//!   checkpoints/step-00000500/
//!   best            which checkpoint
//!   lock            held by the process that trains
//! ```

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kiln_models::Tokenizer;
use kiln_models::saved::{
    CHECKPOINTS, CheckpointEntry, DiskFiles, Files, FoundCheckpoint, ModelDescription, SavedModelError, TOKENIZER_FILE,
    Which, best_step, checkpoint_folder, clean_run, create_folder_durably, find_checkpoint, list_checkpoints_in,
    name_best, newest_whole, remove_folder_atomically, steps, write_file_atomically, write_folder_atomically,
};

use super::checkpoint::{Checkpoint, CheckpointError, LoopState};
use super::record::RunRecord;
use super::survey::{lock_patiently, trainer};
use super::{MetricsLog, Saved, Snapshot};

pub(super) const CONFIG: &str = "config.toml";
pub(super) const RECORD: &str = "run.json";
pub(super) const METRICS: &str = "metrics.jsonl";
pub(super) const LOCK: &str = "lock";

/// Whole checkpoints that stay in any case, once there are so many.
const FEWEST: usize = 2;

/// What can be wrong with a run folder.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The operating system refused.
    #[error("cannot {doing} `{}`: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// Why not.
        source: std::io::Error,
    },
    /// There is a run of that name, and nobody said to go on with it.
    #[error("the run `{}` exists already; go on with it by `--resume`, or give another name by `--run NAME`", path.display())]
    Exists {
        /// The run folder.
        path: PathBuf,
    },
    /// Another process trains there.
    #[error("the run `{}` is being trained by another process{}", path.display(), owner.map_or_else(String::new, |id| format!(" (id {id})")))]
    Locked {
        /// The run folder.
        path: PathBuf,
        /// The other process.
        owner: Option<u32>,
    },
    /// A checkpoint or one of the small files beside it.
    #[error(transparent)]
    Saved(#[from] SavedModelError),
}

/// The folder of a run, locked against a second trainer until it is dropped.
pub struct RunFolder {
    files: Arc<dyn Files>,
    path: PathBuf,
    description: ModelDescription,
    /// The system frees the lock when the process ends, however it ends.
    _lock: File,
}

/// What a run is, to be written into its folder when it starts.
pub struct RunDocuments<'a> {
    /// The resolved configuration, as TOML.
    pub config: &'a str,
    /// The tokenizer.
    pub tokenizer: &'a Tokenizer,
    /// Where the run comes from.
    pub record: &'a RunRecord,
}

impl RunFolder {
    /// Makes a run folder, or with `resume` opens the one that is there, and locks it.
    ///
    /// # Errors
    /// When it exists and `resume` is not set, when another process trains there, or when it cannot be written.
    pub fn open(path: &Path, resume: bool, description: ModelDescription) -> Result<Self, FolderError> {
        create_folder_durably(&DiskFiles, path)?;
        let lock = lock(path)?;
        if !resume && path.join(CONFIG).exists() {
            return Err(FolderError::Exists { path: path.to_path_buf() });
        }
        clean_run(&DiskFiles, path)?;
        Ok(Self::new(Arc::new(DiskFiles), path, description, lock))
    }

    /// A folder that is there, is clean, and is written by way of `files`.
    pub(crate) fn new(files: Arc<dyn Files>, path: &Path, description: ModelDescription, lock: File) -> Self {
        Self { files, path: path.to_path_buf(), description, _lock: lock }
    }

    /// Writes what the run is. The configuration comes last: with it the run exists.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn write_documents(&self, documents: &RunDocuments<'_>) -> Result<(), FolderError> {
        let write = |name: &str, content: &[u8]| write_file_atomically(self.files(), &self.path.join(name), content);
        write(TOKENIZER_FILE, documents.tokenizer.to_json().as_bytes())?;
        let record = serde_json::to_vec_pretty(documents.record)
            .map_err(|error| io(&self.path.join(RECORD), "write", error.into()))?;
        write(RECORD, &record)?;
        Ok(write(CONFIG, documents.config.as_bytes())?)
    }

    /// Opens the log of the run, which goes on after `step` updates.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn open_log(&self, step: u64) -> Result<MetricsLog, FolderError> {
        let log = MetricsLog::open_in(self.files(), &self.metrics_path(), step)?;
        self.files().sync_folder(&self.path).map_err(|source| io(&self.path, "flush", source))?;
        Ok(log)
    }

    pub(super) fn files(&self) -> &dyn Files {
        &*self.files
    }

    /// What its models are.
    pub fn description(&self) -> &ModelDescription {
        &self.description
    }

    /// Tells at once that another process trains a run, before anything is prepared for it. It is [`RunFolder::open`] that keeps
    /// two from training.
    ///
    /// # Errors
    /// [`FolderError::Locked`].
    pub fn refuse_second_trainer(run: &Path) -> Result<(), FolderError> {
        match trainer(run) {
            Some(trainer) => Err(FolderError::Locked { path: run.to_path_buf(), owner: trainer.process }),
            None => Ok(()),
        }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file of the metrics.
    pub fn metrics_path(&self) -> PathBuf {
        self.path.join(METRICS)
    }

    /// The newest whole checkpoint, to go on from; `None` where there is none yet.
    ///
    /// # Errors
    /// When there are checkpoints and none is whole, or the newest cannot be read.
    pub fn newest(&self) -> Result<Option<(FoundCheckpoint, Checkpoint)>, CheckpointError> {
        if steps(&self.path)?.is_empty() {
            return Ok(None);
        }
        let found = newest_whole(&self.path)?;
        let checkpoint = Checkpoint::read(&found)?;
        Ok(Some((found, checkpoint)))
    }

    /// The newest whole checkpoint that was not saved in the midst of numerical faults; `None` where there is none.
    ///
    /// # Errors
    /// When the folder of the checkpoints cannot be listed.
    pub fn newest_before_faults(&self) -> Result<Option<(FoundCheckpoint, Checkpoint)>, CheckpointError> {
        for step in steps(&self.path)?.into_iter().rev() {
            if let Ok(found) = find_checkpoint(&self.path, Which::Step(step))
                && let Ok(checkpoint) = Checkpoint::read(&found)
                && checkpoint.state.faults.in_a_row == 0
            {
                return Ok(Some((found, checkpoint)));
            }
        }
        Ok(None)
    }

    /// Removes the checkpoints of steps after `step`; `best` is the best of those before.
    ///
    /// # Errors
    /// When one cannot be removed.
    pub fn forget_after(&self, step: u64, best: Option<u64>) -> Result<(), FolderError> {
        for later in steps(&self.path)?.into_iter().filter(|&later| later > step) {
            remove_folder_atomically(self.files(), &checkpoint_folder(&self.path, later))?;
        }
        if let Some(best) = best {
            name_best(self.files(), &self.path, best)?;
        }
        Ok(())
    }

    /// Writes a checkpoint, lets `best` name the best one, and removes what need not be kept: the newest `keep` and the best
    /// stay.
    ///
    /// # Errors
    /// When it cannot be written; the checkpoints before it stay as they were. That something after it failed is told in
    /// what comes back.
    pub fn save(&self, snapshot: &Snapshot, keep: usize) -> Result<Saved, CheckpointError> {
        let Snapshot { model, checkpoint } = snapshot;
        let (files, step) = (self.files(), checkpoint.state.step);
        let folder = checkpoint_folder(&self.path, step);
        let above = self.path.join(CHECKPOINTS);
        // The run folder itself is not made again: whoever took it away took the run away.
        match files.create_folder(&above) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            other => other.map_err(|source| io(&above, "create folder", source))?,
        }
        write_folder_atomically(files, &folder, step, |staged| {
            model.write(staged)?;
            checkpoint.write(staged)
        })?;
        files.sync_folder(&self.path).map_err(|source| io(&self.path, "flush", source))?;
        let tidied = self.tidy(keep, &checkpoint.state);
        Ok(Saved { step, folder, tidied })
    }

    /// Lets `best` name the best checkpoint, where that could be saved, and removes old ones; none in the midst of faults, after
    /// which training may go back to them.
    fn tidy(&self, keep: usize, state: &LoopState) -> Result<(), FolderError> {
        let best = state.best.map(|best| best.step);
        let files = self.files();
        let entries = list_checkpoints_in(files, &self.path)?;
        let named = best_step(files, &self.path);
        let is_there = |step: u64| entries.iter().any(|entry| entry.step == step && entry.valid.is_ok());
        let newly_best = best.filter(|&best| named != Some(best) && is_there(best));
        if let Some(best) = newly_best {
            name_best(files, &self.path, best)?;
        }
        if state.faults.in_a_row > 0 { Ok(()) } else { self.prune(&entries, keep, newly_best.or(named)) }
    }

    /// Removes what is older than the newest `keep` whole checkpoints, but for the best. Damaged ones do not count, nor do those
    /// that were saved in the midst of faults.
    fn prune(&self, entries: &[CheckpointEntry], keep: usize, best: Option<u64>) -> Result<(), FolderError> {
        let is_sound = |entry: &&CheckpointEntry| {
            let state = || LoopState::read_in(self.files(), &entry.folder);
            entry.valid.is_ok() && state().is_ok_and(|state| state.faults.in_a_row == 0)
        };
        let Some(oldest_kept) = entries.iter().rev().filter(is_sound).nth(keep.max(FEWEST) - 1) else { return Ok(()) };
        let is_old = |step: u64| step < oldest_kept.step && Some(step) != best;
        for entry in entries.iter().filter(|entry| is_old(entry.step)) {
            remove_folder_atomically(self.files(), &entry.folder)?;
        }
        Ok(())
    }
}

impl From<FolderError> for CheckpointError {
    fn from(error: FolderError) -> Self {
        match error {
            FolderError::Saved(error) => Self::Saved(error),
            other => Self::Folder(Box::new(other)),
        }
    }
}

pub(super) fn io(path: &Path, doing: &'static str, source: std::io::Error) -> FolderError {
    FolderError::Io { path: path.to_path_buf(), doing, source }
}

fn lock(run: &Path) -> Result<File, FolderError> {
    let path = run.join(LOCK);
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&path)
        .map_err(|source| io(&path, "open", source))?;
    match lock_patiently(&file) {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let owner = fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok());
            return Err(FolderError::Locked { path: run.to_path_buf(), owner });
        }
        Err(TryLockError::Error(source)) => return Err(io(&path, "lock", source)),
    }
    file.set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(|source| io(&path, "write", source))?;
    Ok(file)
}
