//! What is in the cache: downloads, and texts as tokens. All of it is made again where it is missing.

use std::fs::{self, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::shards::Facts;

/// The folder of downloads in the cache, one folder a checksum.
pub(crate) const DOWNLOADS: &str = "downloads";
/// The folder of tokens in the cache, one folder for each text under a tokenizer.
pub(crate) const TOKENS: &str = "tokens";
/// The lock of a folder of the cache, held while it is written.
pub(crate) const LOCK: &str = "lock";

/// Something in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cached {
    /// `downloads` or `tokens`.
    pub kind: &'static str,
    /// Its folder.
    pub folder: PathBuf,
    /// Which text it is, and what the tokens were made for; nothing where that isn't complete.
    pub text: Option<String>,
    /// Bytes of its files.
    pub bytes: u64,
    /// When one of them was last changed, as far as the system says.
    pub changed: Option<SystemTime>,
}

/// What clearing the cache did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cleared {
    /// Folders that were removed.
    pub folders: usize,
    /// The bytes that they had.
    pub bytes: u64,
    /// Folders that a process is writing at the moment; they stay.
    pub busy: Vec<PathBuf>,
}

/// Everything in a cache, in the order of the folders' names. A cache that is not there is empty.
///
/// # Errors
/// A folder cannot be listed.
pub fn list(cache: &Path) -> io::Result<Vec<Cached>> {
    let mut found = Vec::new();
    for kind in [DOWNLOADS, TOKENS] {
        let entries = match fs::read_dir(cache.join(kind)) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            other => other?,
        };
        let mut folders = Vec::new();
        for entry in entries {
            let entry = entry?;
            folders.extend(entry.file_type()?.is_dir().then(|| entry.path()));
        }
        folders.sort();
        for folder in folders {
            let (bytes, changed) = measure(&folder)?;
            let text =
                if kind == DOWNLOADS { downloaded(&folder) } else { Facts::read(&folder).map(|facts| facts.text) };
            found.push(Cached { kind, folder, text, bytes, changed });
        }
    }
    Ok(found)
}

/// Removes everything from a cache but what is being written. A run that is being trained keeps the files that it has
/// opened, on systems that let opened files be removed.
///
/// # Errors
/// A folder cannot be listed or removed.
pub fn clear(cache: &Path) -> io::Result<Cleared> {
    let mut cleared = Cleared::default();
    for cached in list(cache)? {
        let lock = OpenOptions::new().create(true).write(true).truncate(false).open(cached.folder.join(LOCK))?;
        if let Err(TryLockError::WouldBlock) = lock.try_lock() {
            cleared.busy.push(cached.folder);
            continue;
        }
        fs::remove_dir_all(&cached.folder)?;
        cleared.folders += 1;
        cleared.bytes += cached.bytes;
    }
    Ok(cleared)
}

/// The name of the file that was downloaded into a folder.
fn downloaded(folder: &Path) -> Option<String> {
    let names = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name != LOCK).min()
}

fn measure(folder: &Path) -> io::Result<(u64, Option<SystemTime>)> {
    let (mut bytes, mut changed) = (0, None);
    for entry in fs::read_dir(folder)? {
        let metadata = entry?.metadata()?;
        bytes += metadata.len();
        changed = changed.max(metadata.modified().ok());
    }
    Ok((bytes, changed))
}
