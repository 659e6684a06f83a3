//! Writing that is seen whole or not at all, also after a loss of power.
//!
//! Everything is written beside its final name, flushed to the disk, and then renamed; the folder above is flushed
//! last, since the rename is an entry in it. Every operation goes through [`Files`].

use std::ffi::OsString;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::error::StorageError;
use crate::files::{Files, Kind, Writer};
use crate::manifest::Manifest;
use crate::staged::StagedFolder;

/// Marks what is being written.
const STAGING: &str = "tmp";
/// Marks what is being replaced.
const REPLACED: &str = "old";

/// Writes a checkpoint folder as a whole: `write` fills a folder beside `final_path`, which then gets a manifest and
/// its name. What fails on the way leaves nothing under that name, and leaves a folder that had the name before as it
/// was.
///
/// # Errors
/// Whatever `write` returns, and what the system says; also where the folder above is not there.
pub fn write_folder_atomically<E: From<StorageError>>(
    files: &dyn Files,
    final_path: &Path,
    step: u64,
    write: impl FnOnce(&mut StagedFolder<'_>) -> Result<(), E>,
) -> Result<Manifest, E> {
    let staging = beside(final_path, STAGING);
    remove(files, &staging)?;
    let written = fill(files, &staging, step, write).and_then(|manifest| {
        put_in_place(files, &staging, final_path)?;
        Ok(manifest)
    });
    if written.is_err() {
        // The first error is the one to report; what is left is removed when the run is opened again.
        let _ = remove(files, &staging);
    }
    written
}

/// Writes a small file as a whole.
///
/// # Errors
/// What the system says; a file that had the name before then stays as it was.
pub fn write_file_atomically(files: &dyn Files, final_path: &Path, content: &[u8]) -> Result<(), StorageError> {
    let staging = beside(final_path, STAGING);
    let written = write_and_flush(files, &staging, content).and_then(|()| {
        files.rename(&staging, final_path).map_err(StorageError::io("write", final_path))?;
        flush_folder(files, parent(final_path))
    });
    if written.is_err() {
        let _ = remove(files, &staging);
    }
    written
}

/// Removes a folder so that it is never seen in part: it loses its name first, for good. A process that dies in between
/// leaves it among what [`clean_run`](crate::clean_run) removes.
///
/// # Errors
/// What the system says.
pub fn remove_folder_atomically(files: &dyn Files, path: &Path) -> Result<(), StorageError> {
    let aside = beside(path, STAGING);
    remove(files, &aside)?;
    files.rename(path, &aside).map_err(StorageError::io("remove", path))?;
    flush_folder(files, parent(path))?;
    remove(files, &aside)
}

/// Makes a folder and those above it that are missing, and flushes their names to the disk. The name of `path` itself
/// is flushed in any case: its creator may not have done so.
///
/// # Errors
/// What the system says.
pub fn create_folder_durably(files: &dyn Files, path: &Path) -> Result<(), StorageError> {
    let above = parent(path);
    match files.create_folder(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) if error.kind() == ErrorKind::NotFound && above != path && path.parent() == Some(above) => {
            create_folder_durably(files, above)?;
            files.create_folder(path).map_err(StorageError::io("create folder", path))?;
        }
        other => other.map_err(StorageError::io("create folder", path))?,
    }
    flush_folder(files, above)
}

/// Removes from `folder` what an earlier process left half written, and puts back what it was about to replace.
/// To be called by the one process that may write there.
///
/// # Errors
/// What the system says.
pub(crate) fn remove_leftovers(files: &dyn Files, folder: &Path) -> Result<(), StorageError> {
    let entries = match files.list(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        other => other.map_err(StorageError::io("list", folder))?,
    };
    for path in entries {
        match leftover(&path) {
            Some((final_path, REPLACED)) if is_missing(files, &final_path)? => {
                files.rename(&path, &final_path).map_err(StorageError::io("restore", &final_path))?;
            }
            Some(_) => remove(files, &path)?,
            None => {}
        }
    }
    Ok(())
}

/// Writes a file and flushes it to the disk.
fn write_and_flush(files: &dyn Files, path: &Path, content: &[u8]) -> Result<(), StorageError> {
    let file = files.create_file(path).map_err(StorageError::io("create", path))?;
    Writer(&*file).write_all(content).map_err(StorageError::io("write", path))?;
    file.sync().map_err(StorageError::io("flush", path))
}

fn fill<E: From<StorageError>>(
    files: &dyn Files,
    staging: &Path,
    step: u64,
    write: impl FnOnce(&mut StagedFolder<'_>) -> Result<(), E>,
) -> Result<Manifest, E> {
    let mut folder = StagedFolder::create(files, staging)?;
    write(&mut folder)?;
    Ok(folder.finish(step)?)
}

/// Gives the staged folder its name. Renaming cannot replace a folder that has files, so one that is there is first put
/// aside; between the two renames a crash leaves it aside, from where [`remove_leftovers`] puts it back.
fn put_in_place(files: &dyn Files, staging: &Path, final_path: &Path) -> Result<(), StorageError> {
    let replaced = beside(final_path, REPLACED);
    let replaces = !is_missing(files, final_path)?;
    if replaces {
        remove(files, &replaced)?;
        files.rename(final_path, &replaced).map_err(StorageError::io("replace", final_path))?;
    }
    if let Err(error) = files.rename(staging, final_path) {
        if replaces {
            let _ = files.rename(&replaced, final_path);
        }
        return Err(StorageError::io("write", final_path)(error));
    }
    flush_folder(files, parent(final_path))?;
    if replaces {
        // The new one is there; what is left of the old one is removed when the run is opened again.
        let _ = remove(files, &replaced);
    }
    Ok(())
}

fn flush_folder(files: &dyn Files, folder: &Path) -> Result<(), StorageError> {
    files.sync_folder(folder).map_err(StorageError::io("flush", folder))
}

fn is_missing(files: &dyn Files, path: &Path) -> Result<bool, StorageError> {
    match files.kind(path) {
        Ok(_) => Ok(false),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
        Err(error) => Err(StorageError::io("find", path)(error)),
    }
}

/// Removes a file, or a folder with everything in it; if there is nothing, nothing is done.
fn remove(files: &dyn Files, path: &Path) -> Result<(), StorageError> {
    let failed = StorageError::io("remove", path);
    match files.kind(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed(error)),
        Ok(Kind::Folder) => {
            for inside in files.list(path).map_err(StorageError::io("list", path))? {
                remove(files, &inside)?;
            }
            files.remove_folder(path).map_err(failed)
        }
        Ok(_) => files.remove_file(path).map_err(failed),
    }
}

/// `<name>.<mark>-<process>` in the same folder, hence on the same disk, where renaming is one step.
fn beside(path: &Path, mark: &str) -> PathBuf {
    let mut name = path.file_name().map_or_else(OsString::new, OsString::from);
    name.push(format!(".{mark}-{}", std::process::id()));
    path.with_file_name(name)
}

/// The final path and the mark of a name that [`beside`] made.
pub(crate) fn leftover(path: &Path) -> Option<(PathBuf, &'static str)> {
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
