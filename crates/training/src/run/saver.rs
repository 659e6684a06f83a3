//! Saving beside training.

use std::sync::Arc;
use std::thread::JoinHandle;

use kiln_storage::OpenFile;

use super::error::{CheckpointError, io};
use super::folder::{RunFolder, Saved};
use super::snapshot::Snapshot;

/// What a thread is started for.
type Work = Box<dyn FnOnce() -> Result<Saved, CheckpointError> + Send>;

/// Starts a thread.
type Spawn = fn(Work) -> std::io::Result<JoinHandle<Result<Saved, CheckpointError>>>;

/// Writes one snapshot at a time, in a thread of its own.
pub struct Saver {
    folder: Arc<RunFolder>,
    /// Checkpoints to keep.
    keep: usize,
    spawn: Spawn,
    writing: Option<Writing>,
}

/// A checkpoint that is being written, or was, where the system had no thread for it.
enum Writing {
    Beside(JoinHandle<Result<Saved, CheckpointError>>),
    Over(Result<Saved, CheckpointError>),
}

impl Saver {
    /// Saves into `folder`, where the newest `keep` checkpoints and the best one stay.
    pub fn new(folder: Arc<RunFolder>, keep: usize) -> Self {
        Self { folder, keep, writing: None, spawn: |work| std::thread::Builder::new().spawn(work) }
    }

    /// The same on a system that refuses every thread.
    #[cfg(test)]
    pub(super) fn without_threads(folder: Arc<RunFolder>, keep: usize) -> Self {
        Self { folder, keep, writing: None, spawn: |_| Err(std::io::ErrorKind::WouldBlock.into()) }
    }

    /// Begins to write. `log` is flushed to the disk first, so that no checkpoint is ahead of its log.
    ///
    /// The caller has [waited](Self::wait) for the one before; else its outcome is lost.
    pub fn begin(&mut self, snapshot: Snapshot, log: Arc<dyn OpenFile>) {
        let (folder, keep) = (Arc::clone(&self.folder), self.keep);
        let write = move |snapshot: &Snapshot, log: &dyn OpenFile| {
            log.sync().map_err(|source| io(&folder.metrics_path(), "flush", source))?;
            folder.save(snapshot, keep)
        };
        let shared = Arc::new((snapshot, log));
        let (work, write) = (Arc::clone(&shared), Arc::new(write));
        let in_thread = Arc::clone(&write);
        let spawned = (self.spawn)(Box::new(move || in_thread(&work.0, &*work.1)));
        // A limit on threads that is reached for a moment must not end a run: it waits for this save instead.
        self.writing = Some(match spawned {
            Ok(thread) => Writing::Beside(thread),
            Err(_) => Writing::Over(write(&shared.0, &*shared.1)),
        });
    }

    /// How the writing ended, if it did since the last call; does not wait.
    pub fn finished(&mut self) -> Option<Result<Saved, CheckpointError>> {
        let is_over = match self.writing.as_ref()? {
            Writing::Beside(thread) => thread.is_finished(),
            Writing::Over(_) => true,
        };
        if is_over { self.wait() } else { None }
    }

    /// Waits for the present writing, if there is one, and gives how it ended.
    pub fn wait(&mut self) -> Option<Result<Saved, CheckpointError>> {
        let ended = match self.writing.take()? {
            Writing::Beside(thread) => thread.join(),
            Writing::Over(outcome) => Ok(outcome),
        };
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
