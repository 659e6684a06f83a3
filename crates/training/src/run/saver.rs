//! Saving beside training.

use std::sync::Arc;
use std::thread::JoinHandle;

use kiln_storage::OpenFile;

use super::error::{CheckpointError, io};
use super::folder::{RunFolder, Saved};
use super::snapshot::Snapshot;

/// Writes one snapshot at a time, in a thread of its own.
pub struct Saver {
    folder: Arc<RunFolder>,
    /// Checkpoints to keep.
    keep: usize,
    writing: Option<JoinHandle<Result<Saved, CheckpointError>>>,
}

impl Saver {
    /// Saves into `folder`, where the newest `keep` checkpoints and the best one stay.
    pub fn new(folder: Arc<RunFolder>, keep: usize) -> Self {
        Self { folder, keep, writing: None }
    }

    /// Begins to write. `log` is flushed to the disk first, so that no checkpoint is ahead of its log.
    ///
    /// The caller has [waited](Self::wait) for the one before; else its outcome is lost.
    pub fn begin(&mut self, snapshot: Snapshot, log: Arc<dyn OpenFile>) {
        let (folder, keep) = (Arc::clone(&self.folder), self.keep);
        self.writing = Some(std::thread::spawn(move || {
            log.sync().map_err(|source| io(&folder.metrics_path(), "flush", source))?;
            folder.save(&snapshot, keep)
        }));
    }

    /// How the writing ended, if it did since the last call; does not wait.
    pub fn finished(&mut self) -> Option<Result<Saved, CheckpointError>> {
        if self.writing.as_ref().is_some_and(JoinHandle::is_finished) { self.wait() } else { None }
    }

    /// Waits for the present writing, if there is one, and gives how it ended.
    pub fn wait(&mut self) -> Option<Result<Saved, CheckpointError>> {
        let ended = self.writing.take()?.join();
        Some(ended.unwrap_or_else(|_| {
            let source = std::io::Error::other("the thread that writes it failed");
            Err(io(self.folder.path(), "save a checkpoint in", source).into())
        }))
    }
}

impl Drop for Saver {
    /// What was begun is brought to its end.
    fn drop(&mut self) {
        let _ = self.wait();
    }
}
