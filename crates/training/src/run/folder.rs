//! The folder of a run, held by the process that trains. What is in it: [`kiln_storage::layout`].

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kiln_models::saved::{ModelDescription, Opening, SavedModel, read_weights};
use kiln_models::{LanguageModel, Tokenizer};
use kiln_storage::layout::{CHECKPOINTS, CONFIG_FILE, METRICS_FILE, RECORD_FILE, TOKENIZER_FILE};
use kiln_storage::{
    CheckpointReader, DiskFiles, Files, FoundCheckpoint, StorageError, VerifiedSteps, Which, best_step,
    checkpoint_folder, clean_run, create_folder_durably, name_best, open_checkpoint, open_newest_whole,
    remove_folder_atomically, steps_in, write_file_atomically, write_folder_atomically,
};

use super::checkpoint::{Checkpoint, LoopState};
use super::error::{CheckpointError, FolderError, io};
use super::lock::{lock, trainer};
use super::metrics::MetricsLog;
use super::record::RunRecord;
use super::snapshot::Snapshot;

/// Whole checkpoints that stay in any case, once there are that many.
const FEWEST: usize = 2;

/// The folder of a run, locked against a second trainer until it is dropped.
pub struct RunFolder {
    files: Arc<dyn Files>,
    path: PathBuf,
    description: ModelDescription,
    /// Checkpoints whose content this process wrote or read, so that tidying need not read it again.
    verified: VerifiedSteps,
    /// The system frees the lock when the process ends, however it ends.
    _lock: File,
}

/// A checkpoint that is on the disk.
#[derive(Debug)]
pub struct Saved {
    /// Updates made.
    pub step: u64,
    /// Its folder.
    pub folder: PathBuf,
    /// Whether `best` names what it should and old checkpoints are gone. If not, the next save sees to it.
    pub tidied: Result<(), FolderError>,
}

/// A checkpoint that training resumes from.
pub struct Resumed {
    /// The saved model with its tokenizer, and why it is not the newest one's.
    pub saved: SavedModel,
    /// The state of training.
    pub checkpoint: Checkpoint,
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
        let checkpoints = path.join(CHECKPOINTS);
        if checkpoints.is_symlink() && !checkpoints.exists() {
            return Err(StorageError::BrokenLink { path: checkpoints }.into());
        }
        let lock = lock(path)?;
        if !resume && path.join(CONFIG_FILE).exists() {
            return Err(FolderError::Exists { path: path.to_path_buf() });
        }
        clean_run(&DiskFiles, path)?;
        Ok(Self::new(Arc::new(DiskFiles), path, description, lock))
    }

    /// A folder that is there, is clean, and is written by way of `files`.
    pub(crate) fn new(files: Arc<dyn Files>, path: &Path, description: ModelDescription, lock: File) -> Self {
        Self { files, path: path.to_path_buf(), description, verified: VerifiedSteps::default(), _lock: lock }
    }

    /// Writes what the run is. The configuration comes last: with it the run exists.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn write_documents(&self, documents: &RunDocuments<'_>) -> Result<(), FolderError> {
        let write = |name: &str, content: &[u8]| write_file_atomically(self.files(), &self.path.join(name), content);
        write(TOKENIZER_FILE, documents.tokenizer.to_json().as_bytes())?;
        let record = serde_json::to_vec_pretty(documents.record)
            .map_err(|error| io(&self.path.join(RECORD_FILE), "write", error.into()))?;
        write(RECORD_FILE, &record)?;
        Ok(write(CONFIG_FILE, documents.config.as_bytes())?)
    }

    /// Opens the log of the run, which resumes after `step` updates.
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

    /// Continues with a model that was saved here: it holds conversations as that one does, and adapters have its base.
    pub fn resume_as(&mut self, saved: &ModelDescription) {
        self.description.converse_as(saved);
        self.description.base.clone_from(&saved.base);
        self.description.vocabulary_size = saved.vocabulary_size;
    }

    /// Refuses at once if another process trains a run, before anything is prepared for it. It is [`RunFolder::open`]
    /// that keeps two from training.
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
        self.path.join(METRICS_FILE)
    }

    /// The newest whole checkpoint with its model, to resume from; `None` if there are no checkpoints yet.
    /// Every file is read once, and verified on the way.
    ///
    /// # Errors
    /// When there are checkpoints and none is whole, or the newest whole one cannot be read.
    pub fn resume(&self, opening: Opening<'_>) -> Result<Option<Resumed>, CheckpointError> {
        let newest = self.open_newest(|checkpoint| {
            let saved = SavedModel::read(checkpoint, opening)?;
            Ok(Resumed { saved, checkpoint: Checkpoint::read(checkpoint)? })
        })?;
        Ok(newest.map(|(found, mut resumed)| {
            resumed.saved.warning = found.warning;
            resumed
        }))
    }

    /// The newest whole checkpoint without its model; `None` if there are no checkpoints yet.
    ///
    /// # Errors
    /// As [`RunFolder::resume`].
    pub fn newest(&self) -> Result<Option<(FoundCheckpoint, Checkpoint)>, CheckpointError> {
        self.open_newest(Checkpoint::read)
    }

    fn open_newest<T>(
        &self,
        read: impl FnMut(&mut CheckpointReader<'_>) -> Result<T, CheckpointError>,
    ) -> Result<Option<(FoundCheckpoint, T)>, CheckpointError> {
        if steps_in(self.files(), &self.path)?.is_empty() {
            return Ok(None);
        }
        let (found, value) = open_newest_whole(self.files(), &self.path, read)?;
        self.verified.note(found.manifest.clone());
        Ok(Some((found, value)))
    }

    /// The newest whole checkpoint that was not saved during numerical faults, and `model` with its weights; `None` if
    /// there is none.
    ///
    /// # Errors
    /// When the folder of the checkpoints cannot be listed.
    pub fn newest_before_faults(
        &self,
        model: &LanguageModel,
    ) -> Result<Option<(LanguageModel, Checkpoint)>, CheckpointError> {
        for step in steps_in(self.files(), &self.path)?.into_iter().rev() {
            let read = |reader: &mut CheckpointReader<'_>| -> Result<_, CheckpointError> {
                let checkpoint = Checkpoint::read(reader)?;
                if checkpoint.state.faults.in_a_row > 0 {
                    return Ok(None);
                }
                Ok(Some((read_weights(model.clone(), reader)?, checkpoint)))
            };
            if let Ok((found, sound)) = open_checkpoint(self.files(), &self.path, Which::Step(step), read) {
                self.verified.note(found.manifest);
                if sound.is_some() {
                    return Ok(sound);
                }
            }
        }
        Ok(None)
    }

    /// Removes the checkpoints of steps after `step`; `best` is the best of those before.
    ///
    /// # Errors
    /// When one cannot be removed.
    pub fn forget_after(&self, step: u64, best: Option<u64>) -> Result<(), FolderError> {
        for later in steps_in(self.files(), &self.path)?.into_iter().filter(|&later| later > step) {
            remove_folder_atomically(self.files(), &checkpoint_folder(&self.path, later))?;
        }
        if let Some(best) = best {
            name_best(self.files(), &self.path, best)?;
        }
        Ok(())
    }

    /// Writes a checkpoint, lets `best` name the best one, and removes what need not be kept: the newest `keep` and the
    /// best stay.
    ///
    /// # Errors
    /// When it cannot be written; the checkpoints before it stay as they were. What failed after that is in
    /// [`Saved::tidied`].
    pub fn save(&self, snapshot: &Snapshot, keep: usize) -> Result<Saved, CheckpointError> {
        let Snapshot { model, checkpoint } = snapshot;
        let (files, step) = (self.files(), checkpoint.state.step);
        let folder = checkpoint_folder(&self.path, step);
        let above = self.path.join(CHECKPOINTS);
        // The run folder itself is not made again: if it was taken away, so was the run.
        match files.create_folder(&above) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            other => other.map_err(|source| io(&above, "create folder", source))?,
        }
        let manifest = write_folder_atomically(files, &folder, step, |staged| {
            model.write(staged)?;
            checkpoint.write(staged)
        })?;
        self.verified.note(manifest);
        files.sync_folder(&self.path).map_err(|source| io(&self.path, "flush", source))?;
        let tidied = self.tidy(keep, &checkpoint.state);
        Ok(Saved { step, folder, tidied })
    }

    /// Lets `best` name the best checkpoint, if that could be saved, and removes old ones; none during faults, after
    /// which training may go back to them.
    fn tidy(&self, keep: usize, state: &LoopState) -> Result<(), FolderError> {
        let (files, best) = (self.files(), state.best.map(|best| best.step));
        let steps = steps_in(files, &self.path)?;
        let named = best_step(files, &self.path);
        let is_there = |step: u64| steps.contains(&step) && self.verified.is_whole(files, &self.path, step);
        let newly_best = best.filter(|&best| named != Some(best) && is_there(best));
        if let Some(best) = newly_best {
            name_best(files, &self.path, best)?;
        }
        if state.faults.in_a_row > 0 { Ok(()) } else { self.prune(&steps, keep, newly_best.or(named)) }
    }

    /// Removes what is older than the newest `keep` whole checkpoints, but for the best. Damaged ones do not count, nor
    /// do those that were saved during faults. Of what is removed only the name is looked at.
    fn prune(&self, steps: &[u64], keep: usize, best: Option<u64>) -> Result<(), FolderError> {
        let is_sound = |&&step: &&u64| {
            let state = || LoopState::read_in(self.files(), &checkpoint_folder(&self.path, step));
            self.verified.is_whole(self.files(), &self.path, step)
                && state().is_ok_and(|state| state.faults.in_a_row == 0)
        };
        let Some(oldest_kept) = steps.iter().rev().filter(is_sound).nth(keep.max(FEWEST) - 1) else { return Ok(()) };
        for step in steps.iter().filter(|&step| step < oldest_kept && Some(*step) != best) {
            remove_folder_atomically(self.files(), &checkpoint_folder(&self.path, *step))?;
        }
        Ok(())
    }
}
