//! Which model another one comes from, or learned from.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use kiln_models::saved::SavedModel;
use kiln_settings::files::{Links, open_regular};
use kiln_storage::layout::WEIGHTS_FILE;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::{FolderError, io};

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
    pub fn of(saved: &SavedModel) -> Result<Self, FolderError> {
        let sha256 = hash(&weights(&saved.folder)?)?;
        Ok(Self { path: saved.folder.display().to_string(), step: saved.step, sha256 })
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

/// The files of weights of a model at `path`: a file, a checkpoint, or a folder with one or several.
fn weights(path: &Path) -> Result<Vec<PathBuf>, FolderError> {
    let own = path.join(WEIGHTS_FILE);
    if !path.is_dir() || own.exists() {
        return Ok(vec![if path.is_dir() { own } else { path.to_path_buf() }]);
    }
    let entries = std::fs::read_dir(path).map_err(|source| io(path, "list", source))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "safetensors"));
    files.sort();
    Ok(files)
}

fn hash(files: &[PathBuf]) -> Result<String, FolderError> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    for path in files {
        let irregular = || std::io::Error::other("it is not a regular file");
        let open = || -> std::io::Result<File> { open_regular(path, Links::Followed)?.ok_or_else(irregular) };
        let mut file = open().map_err(|source| io(path, "read", source))?;
        loop {
            let read = file.read(&mut buffer).map_err(|source| io(path, "read", source))?;
            if read == 0 {
                break;
            }
            hasher.update(&buffer[..read]);
        }
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
