//! Saving beside training.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use kiln_models::saved::OpenFile;

use super::{CheckpointError, FolderError, RunFolder, Snapshot};

/// Writes one snapshot at a time, in a thread of its own.
pub struct Saver {
    folder: Arc<RunFolder>,
    /// Checkpoints to keep.
    keep: usize,
    writing: Option<JoinHandle<Result<Saved, CheckpointError>>>,
}

/// A checkpoint that is on the disk.
#[derive(Debug)]
pub struct Saved {
    /// Updates made.
    pub step: u64,
    /// Its folder.
    pub folder: PathBuf,
    /// Whether `best` names what it should and old checkpoints are gone. If not, the next saving sees to it.
    pub tidied: Result<(), FolderError>,
}

impl Saver {
    /// Saves into `folder`, where the newest `keep` checkpoints and the best one stay.
    pub fn new(folder: Arc<RunFolder>, keep: usize) -> Self {
        Self { folder, keep, writing: None }
    }

    /// Begins to write. `log` is flushed to the disk first, so that no checkpoint is ahead of its log.
    ///
    /// Whoever calls has [waited](Self::wait) for the one before; else its outcome is lost.
    pub fn begin(&mut self, snapshot: Snapshot, log: Arc<dyn OpenFile>) {
        let (folder, keep) = (Arc::clone(&self.folder), self.keep);
        self.writing = Some(std::thread::spawn(move || {
            let path = folder.metrics_path();
            log.sync().map_err(|source| FolderError::Io { path, doing: "flush", source })?;
            folder.save(&snapshot, keep)
        }));
    }

    /// How the writing ended, if it did since the last call; does not wait.
    pub fn finished(&mut self) -> Option<Result<Saved, CheckpointError>> {
        if self.writing.as_ref().is_some_and(JoinHandle::is_finished) { self.wait() } else { None }
    }

    /// How the writing ended that is going on, if one is.
    pub fn wait(&mut self) -> Option<Result<Saved, CheckpointError>> {
        let ended = self.writing.take()?.join();
        Some(ended.unwrap_or_else(|_| {
            let source = std::io::Error::other("the thread that writes it failed");
            let path = self.folder.path().to_path_buf();
            Err(FolderError::Io { path, doing: "save a checkpoint in", source }.into())
        }))
    }
}

impl Drop for Saver {
    /// What was begun is brought to its end.
    fn drop(&mut self) {
        let _ = self.wait();
    }
}
