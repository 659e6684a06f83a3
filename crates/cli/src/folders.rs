//! Folders that are there whole or not at all.

use std::path::{Path, PathBuf};

use anyhow::Context;
use kiln_models::saved::{SavedModel, write_as_run, write_model};
use kiln_training::config::Config;

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

/// Writes a model that was made of another one into the folder of a new run: with the configuration of the run that it
/// comes from, if it has one.
///
/// # Errors
/// A value that is not finite, or what the system says; nothing is there then.
pub(crate) fn write_made(saved: &SavedModel, config: Option<Config>, folder: &Path) -> anyhow::Result<()> {
    if let Some(runs) = folder.parent() {
        std::fs::create_dir_all(runs).with_context(|| format!("cannot create `{}`", runs.display()))?;
    }
    fill(folder, |beside| {
        match (saved.step, config) {
            (Some(step), Some(mut config)) => {
                config.model = saved.description.model.clone();
                config.adapter = None;
                write_as_run(saved, step, &config.to_toml(), beside)?;
            }
            _ => write_model(saved, beside)?,
        }
        Ok(())
    })
}
