//! The lock that keeps two processes from training one run.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use kiln_settings::files::{Content, Links, open_regular, read_regular};
use kiln_storage::layout::LOCK_FILE;

use super::error::{FolderError, io};

/// The lock holds the number of a process.
const LONGEST_LOCK: u64 = 64;

/// A process that trains a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trainer {
    /// Its number, as it wrote it into the lock.
    pub process: Option<u32>,
}

/// Locks a run until the file is dropped.
pub(super) fn lock(run: &Path) -> Result<File, FolderError> {
    let path = run.join(LOCK_FILE);
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

/// Who trains a run, if anybody does.
pub(super) fn trainer(run: &Path) -> Option<Trainer> {
    let path = run.join(LOCK_FILE);
    let file = open_regular(&path, Links::Followed).ok()??;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => {
            let number = read_regular(&path, Links::Followed, LONGEST_LOCK).and_then(Content::into_bytes);
            let number = number.ok().and_then(|bytes| String::from_utf8(bytes).ok()?.trim().parse().ok());
            Some(Trainer { process: number })
        }
        // Free: the lock that was taken to find that out goes with the file.
        _ => None,
    }
}

/// Takes the lock of a run. A process that looks whether it is free holds it for an instant, so it is asked for more
/// than once.
fn lock_patiently(file: &File) -> Result<(), TryLockError> {
    for _ in 0..5 {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(20)),
            other => return other,
        }
    }
    file.try_lock()
}
