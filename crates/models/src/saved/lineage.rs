//! Which model another one comes from, or learned from.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use kiln_settings::files::{Links, open_regular};
use kiln_storage::StorageError;
use kiln_storage::layout::WEIGHTS_FILE;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::open::SavedModel;

/// A model that weights came from, or probabilities.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage {
    /// Where it was.
    pub path: String,
    /// Updates made before its checkpoint was written, if it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u64>,
    /// SHA-256 of its file of weights, hexadecimal; of several files one behind the other, in the order of their names.
    pub sha256: String,
}

impl Lineage {
    /// Of a model that was opened; its files are read once more.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn of(saved: &SavedModel) -> Result<Self, StorageError> {
        let sha256 = hash_of(&saved.folder)?;
        Ok(Self { path: saved.folder.display().to_string(), step: saved.step, sha256 })
    }

    /// The same with a path that is right from any folder.
    #[must_use]
    pub fn absolute(&self) -> Self {
        let path = std::path::absolute(&self.path).map(|path| path.display().to_string());
        Self { path: path.unwrap_or_else(|_| self.path.clone()), ..self.clone() }
    }

    /// The first digits of the hash.
    pub fn short_hash(&self) -> &str {
        self.sha256.get(..12).unwrap_or(&self.sha256)
    }
}

impl fmt::Display for Lineage {
    /// `runs/base/checkpoints/step-00000500 (SHA-256 0123456789ab)`
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} (SHA-256 {})", self.path, self.short_hash())
    }
}

/// SHA-256 of the files of weights of a model at `path`.
///
/// # Errors
/// When they cannot be read.
pub(super) fn hash_of(path: &Path) -> Result<String, StorageError> {
    hash(&weights(path)?)
}

/// The files of weights of a model at `path`: a file, a checkpoint, or a folder with one or several.
fn weights(path: &Path) -> Result<Vec<PathBuf>, StorageError> {
    let own = path.join(WEIGHTS_FILE);
    if !path.is_dir() || own.exists() {
        return Ok(vec![if path.is_dir() { own } else { path.to_path_buf() }]);
    }
    let entries = std::fs::read_dir(path).map_err(StorageError::io("list", path))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "safetensors"));
    files.sort();
    Ok(files)
}

fn hash(files: &[PathBuf]) -> Result<String, StorageError> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    for path in files {
        let irregular = || std::io::Error::other("it is not a regular file");
        let open = || -> std::io::Result<File> { open_regular(path, Links::Followed)?.ok_or_else(irregular) };
        let mut file = open().map_err(StorageError::io("read", path))?;
        loop {
            let read = file.read(&mut buffer).map_err(StorageError::io("read", path))?;
            if read == 0 {
                break;
            }
            hasher.update(&buffer[..read]);
        }
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
