mod checkpoints;
mod costs;
mod gguf;
mod hostile;
mod manifest;
mod recipes;
mod tensors;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::TensorData;

use crate::{
    DiskFiles, Manifest, StagedFolder, StorageError, checkpoint_folder, create_folder_durably, verify_checkpoint,
    write_folder_atomically,
};

/// Verifies a checkpoint on the disk.
fn verify(folder: &Path) -> Result<Manifest, StorageError> {
    verify_checkpoint(&DiskFiles, folder)
}

/// Two small tensors with values that a decimal form would change.
fn some_tensors() -> BTreeMap<String, TensorData> {
    BTreeMap::from([
        ("layer.bias".to_owned(), TensorData::new(vec![0.1_f32, -0.0, f32::MIN_POSITIVE], [3])),
        ("layer.weight".to_owned(), TensorData::new(vec![1.0_f32 / 3.0, 2e-40, 3.5, -7.25, 1e30, 6.0], [2, 3])),
    ])
}

/// Writes a checkpoint of `step` in `run`.
fn write_with(
    run: &Path,
    step: u64,
    write: impl FnOnce(&mut StagedFolder<'_>) -> Result<(), StorageError>,
) -> Result<PathBuf, StorageError> {
    let folder = checkpoint_folder(run, step);
    create_folder_durably(&DiskFiles, folder.parent().unwrap())?;
    write_folder_atomically(&DiskFiles, &folder, step, write)?;
    Ok(folder)
}

/// A checkpoint of `step` in `run` with two files.
fn write_checkpoint(run: &Path, step: u64) -> PathBuf {
    write_with(run, step, |folder| {
        let mut tensors = some_tensors();
        tensors.insert("step".to_owned(), TensorData::new(vec![step as f32], [1]));
        folder.write_tensors("model.safetensors", &tensors, &BTreeMap::new())?;
        folder.write("loop.json", format!("{{\"step\":{step}}}").as_bytes())
    })
    .unwrap()
}

/// The problem of a damaged checkpoint in words.
fn damage(folder: &Path) -> String {
    match verify(folder) {
        Err(StorageError::Damaged { problem, .. }) => problem,
        other => panic!("expected a damaged checkpoint, got {other:?}"),
    }
}

/// All names in a folder, sorted.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
