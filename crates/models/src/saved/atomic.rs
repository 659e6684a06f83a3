//! Writing that is seen whole or not at all, also after a loss of power.
//!
//! Everything is written beside its final name, flushed to the disk, and then renamed; the folder above is flushed last,
//! since the rename is an entry in it.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::error::SavedModelError;
use super::manifest::Manifest;

/// Marks what is being written.
const STAGING: &str = "tmp";
/// Marks what is being replaced.
const REPLACED: &str = "old";

/// Writes a checkpoint folder as a whole: `write` fills a folder beside `final_path`, each of its files is flushed, the
/// manifest is added, and the folder gets its name. What fails on the way leaves nothing under that name, and leaves a
/// folder that had the name before as it was.
///
/// # Errors
/// Whatever `write` returns, and what the system says.
pub fn write_folder_atomically<E: From<SavedModelError>>(
    final_path: &Path,
    step: u64,
    write: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<Manifest, E> {
    let parent = parent(final_path);
    fs::create_dir_all(parent).map_err(SavedModelError::io("create folder", parent))?;
    let staging = beside(final_path, STAGING);
    remove(&staging)?;
    let written = fill(&staging, step, write).and_then(|manifest| {
        put_in_place(&staging, final_path)?;
        Ok(manifest)
    });
    if written.is_err() {
        // The first error is the one to report; what is left is removed when the run is opened again.
        let _ = remove(&staging);
    }
    written
}

/// Writes a small file as a whole.
///
/// # Errors
/// What the system says; a file that had the name before then stays as it was.
pub fn write_file_atomically(final_path: &Path, content: &[u8]) -> Result<(), SavedModelError> {
    let staging = beside(final_path, STAGING);
    let written = write_and_flush(&staging, content).and_then(|()| {
        fs::rename(&staging, final_path).map_err(SavedModelError::io("write", final_path))?;
        flush_folder(parent(final_path))
    });
    if written.is_err() {
        let _ = remove(&staging);
    }
    written
}

/// Removes a folder so that it is never seen in part: it loses its name first. A process that dies in between leaves it among
/// what [`clean_run`](super::clean_run) removes.
///
/// # Errors
/// What the system says.
pub fn remove_folder_atomically(path: &Path) -> Result<(), SavedModelError> {
    let aside = beside(path, STAGING);
    remove(&aside)?;
    fs::rename(path, &aside).map_err(SavedModelError::io("remove", path))?;
    remove(&aside)
}

/// Removes from `folder` what an earlier process left half written, and puts back what it was about to replace.
/// To be called by the one process that may write there.
///
/// # Errors
/// What the system says.
pub(super) fn remove_leftovers(folder: &Path) -> Result<(), SavedModelError> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(SavedModelError::io("list", folder))?,
    };
    for entry in entries {
        let path = entry.map_err(SavedModelError::io("list", folder))?.path();
        match leftover(&path) {
            Some((final_path, REPLACED)) if !final_path.exists() => {
                fs::rename(&path, &final_path).map_err(SavedModelError::io("restore", &final_path))?;
            }
            Some(_) => remove(&path)?,
            None => {}
        }
    }
    Ok(())
}

/// Writes a file and flushes it to the disk.
pub(super) fn write_and_flush(path: &Path, content: &[u8]) -> Result<(), SavedModelError> {
    let mut file = File::create(path).map_err(SavedModelError::io("create", path))?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(SavedModelError::io("write", path))
}

fn fill<E: From<SavedModelError>>(
    staging: &Path,
    step: u64,
    write: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<Manifest, E> {
    fs::create_dir(staging).map_err(SavedModelError::io("create folder", staging))?;
    write(staging)?;
    flush_files(staging)?;
    let manifest = Manifest::write(staging, step)?;
    flush_folder(staging)?;
    Ok(manifest)
}

/// Gives the staged folder its name. Renaming cannot replace a folder that has files, so one that is there is first put
/// aside; between the two renames a crash leaves it aside, from where [`remove_leftovers`] puts it back.
fn put_in_place(staging: &Path, final_path: &Path) -> Result<(), SavedModelError> {
    let replaced = beside(final_path, REPLACED);
    let replaces = fs::symlink_metadata(final_path).is_ok();
    if replaces {
        remove(&replaced)?;
        fs::rename(final_path, &replaced).map_err(SavedModelError::io("replace", final_path))?;
    }
    if let Err(error) = fs::rename(staging, final_path) {
        if replaces {
            let _ = fs::rename(&replaced, final_path);
        }
        return Err(SavedModelError::io("write", final_path)(error));
    }
    flush_folder(parent(final_path))?;
    if replaces { remove(&replaced) } else { Ok(()) }
}

fn flush_files(folder: &Path) -> Result<(), SavedModelError> {
    for entry in fs::read_dir(folder).map_err(SavedModelError::io("list", folder))? {
        let path = entry.map_err(SavedModelError::io("list", folder))?.path();
        // Opened for writing because some systems flush no file that is open for reading only.
        let file = OpenOptions::new().write(true).open(&path).map_err(SavedModelError::io("open", &path))?;
        file.sync_all().map_err(SavedModelError::io("flush", &path))?;
    }
    Ok(())
}

/// Flushes the entries of a folder. Only Unix lets a folder be opened for that; elsewhere the rename is what there is.
fn flush_folder(folder: &Path) -> Result<(), SavedModelError> {
    if cfg!(unix) {
        let opened = File::open(folder).map_err(SavedModelError::io("open", folder))?;
        opened.sync_all().map_err(SavedModelError::io("flush", folder))?;
    }
    Ok(())
}

fn remove(path: &Path) -> Result<(), SavedModelError> {
    let removed = match fs::symlink_metadata(path) {
        Err(_) => return Ok(()),
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
    };
    removed.map_err(SavedModelError::io("remove", path))
}

/// `<name>.<mark>-<process>` in the same folder, hence on the same disk, where renaming is one step.
fn beside(path: &Path, mark: &str) -> PathBuf {
    let mut name = path.file_name().map_or_else(OsString::new, OsString::from);
    name.push(format!(".{mark}-{}", std::process::id()));
    path.with_file_name(name)
}

/// The final path and the mark of a name that [`beside`] made.
pub(super) fn leftover(path: &Path) -> Option<(PathBuf, &'static str)> {
    let (name, suffix) = path.file_name()?.to_str()?.rsplit_once('.')?;
    let (mark, process) = suffix.split_once('-')?;
    let mark = [STAGING, REPLACED].into_iter().find(|known| *known == mark)?;
    let is_number = !process.is_empty() && process.bytes().all(|byte| byte.is_ascii_digit());
    (is_number && !name.is_empty()).then(|| (path.with_file_name(name), mark))
}

/// The folder that holds `path`; the present one for a bare name.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
