//! One writer at a time in a folder of the cache.

use std::fs::{File, OpenOptions};
use std::path::Path;

/// Held while a folder is written. The system lets go of it when the process ends, however that happens.
#[derive(Debug)]
pub(crate) struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Makes `folder` if it isn't there, and waits until nobody else holds it.
    pub(crate) fn acquire(folder: &Path) -> std::io::Result<Self> {
        loop {
            std::fs::create_dir_all(folder)?;
            let path = folder.join(crate::cache::LOCK);
            let file = OpenOptions::new().create(true).write(true).truncate(false).open(path)?;
            match file.lock() {
                // Some network file systems know no locks; two runs at once are rare enough to do without.
                Err(error) if error.kind() != std::io::ErrorKind::Unsupported => return Err(error),
                // The process that held it before may have removed the folder.
                _ if is_removed(&file)? => {}
                _ => return Ok(Self { _file: file }),
            }
        }
    }
}

/// Whether a file that is open has no name any more.
#[cfg(unix)]
fn is_removed(file: &File) -> std::io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    Ok(file.metadata()?.nlink() == 0)
}

/// What is open cannot be removed there.
#[cfg(not(unix))]
fn is_removed(_file: &File) -> std::io::Result<bool> {
    Ok(false)
}
