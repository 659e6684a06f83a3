//! Folders that are there whole or not at all.

use std::path::{Path, PathBuf};

use anyhow::Context;

/// Lets `write` fill a folder beside the name, then renames it: what fails leaves nothing under the name.
///
/// # Errors
/// Those of `write`, and what the system says.
pub(crate) fn fill<T>(path: &Path, write: impl FnOnce(&Path) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".part");
    let beside = PathBuf::from(beside);
    std::fs::create_dir(&beside).with_context(|| format!("cannot create `{}`", beside.display()))?;
    let written = write(&beside).and_then(|written| {
        std::fs::rename(&beside, path).with_context(|| format!("cannot create `{}`", path.display()))?;
        Ok(written)
    });
    written.inspect_err(|_| _ = std::fs::remove_dir_all(&beside))
}
