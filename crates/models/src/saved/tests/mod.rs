mod costs;
mod exported;
mod hostile;
mod hostile_foreign;
mod open;
mod packed;
mod weights;

use std::path::{Path, PathBuf};

use kiln_storage::{DiskFiles, StagedFolder, checkpoint_folder, create_folder_durably, write_folder_atomically};

use super::SavedModelError;

/// Writes a checkpoint of `step` in `run`.
fn write_with(
    run: &Path,
    step: u64,
    write: impl FnOnce(&mut StagedFolder<'_>) -> Result<(), SavedModelError>,
) -> Result<PathBuf, SavedModelError> {
    let folder = checkpoint_folder(run, step);
    create_folder_durably(&DiskFiles, folder.parent().unwrap())?;
    write_folder_atomically(&DiskFiles, &folder, step, write)?;
    Ok(folder)
}
