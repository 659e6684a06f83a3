//! Taking files out of a checkpoint that is whole.

use std::io::ErrorKind;
use std::path::Path;

use crate::atomic::write_file_atomically;
use crate::error::StorageError;
use crate::files::Files;
use crate::layout::MANIFEST_FILE;
use crate::reader::verify_checkpoint;

/// Removes the files of these names from a checkpoint, which stays whole without them. It is verified first.
///
/// The manifest forgets them before they are removed: a process that dies in between leaves a whole checkpoint, and
/// files beside it that nobody reads; the next call removes those too.
///
/// # Errors
/// The checkpoint is damaged, or what the system says.
pub fn drop_files(files: &dyn Files, folder: &Path, names: &[&str]) -> Result<(), StorageError> {
    let mut manifest = verify_checkpoint(files, folder)?;
    let listed = manifest.files.len();
    manifest.files.retain(|file| !names.contains(&file.name.as_str()));
    if manifest.files.len() < listed {
        let path = folder.join(MANIFEST_FILE);
        let text =
            manifest.sealed().map_err(|problem| StorageError::io("write", &path)(std::io::Error::other(problem)))?;
        write_file_atomically(files, &path, text.as_bytes())?;
    }
    for name in names {
        let path = folder.join(name);
        match files.remove_file(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            other => other.map_err(StorageError::io("remove", &path))?,
        }
    }
    Ok(())
}
