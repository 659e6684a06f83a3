//! One writer at a time in a folder of the cache.

use std::fs::{File, OpenOptions};
use std::path::Path;

/// Held while a folder is written. The system lets go of it when the process ends, however that happens.
#[derive(Debug)]
pub(crate) struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Waits until nobody else holds `folder`.
    pub(crate) fn acquire(folder: &Path) -> std::io::Result<Self> {
        let file = OpenOptions::new().create(true).write(true).truncate(false).open(folder.join(crate::cache::LOCK))?;
        match file.lock() {
            // Some network file systems know no locks; two runs at once are rare enough to do without.
            Err(error) if error.kind() != std::io::ErrorKind::Unsupported => Err(error),
            _ => Ok(Self { _file: file }),
        }
    }
}
