//! The manifest of a checkpoint: which files it consists of, how long each is, and its BLAKE3 hash.
//!
//! A checkpoint counts only when its manifest fits. The manifest carries a hash of itself too, so that no change of a
//! single bit, in it or in the files that it lists, goes unseen. Files that it does not list are never read.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::atomic::write_and_flush;
use super::error::SavedModelError;
use crate::files::{Content, Links, open_regular, read_regular};

/// The name of the manifest in a checkpoint folder.
pub const MANIFEST_FILE: &str = "manifest.json";

/// The layout that this program writes, and the newest that it reads.
const FORMAT: u64 = 1;
/// A manifest lists a handful of files; a longer one is none.
const LONGEST_MANIFEST: u64 = 1 << 20;

/// What a checkpoint consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Manifest {
    /// The version of this layout.
    pub format: u64,
    /// The version of Kiln that wrote the checkpoint.
    pub kiln: String,
    /// Updates made before this checkpoint was written.
    pub step: u64,
    /// The files by name.
    pub files: Vec<ManifestFile>,
}

/// One file of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ManifestFile {
    /// The name in the checkpoint folder.
    pub name: String,
    /// The length in bytes.
    pub bytes: u64,
    /// The BLAKE3 hash in hexadecimal.
    pub blake3: String,
}

/// The manifest as it stands in the file, sealed by the hash of its compact form.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Sealed {
    manifest: Manifest,
    blake3: String,
}

/// As much of any manifest, of this or a later layout, as says which layout it has.
#[derive(Deserialize)]
struct AnyFormat {
    manifest: AnyManifest,
}

#[derive(Deserialize)]
struct AnyManifest {
    format: u64,
}

impl Manifest {
    /// Lists and hashes every file in `folder` and writes the manifest beside them, flushed to the disk.
    ///
    /// # Errors
    /// Something in the folder is not a regular file, or the system refuses.
    pub fn write(folder: &Path, step: u64) -> Result<Self, SavedModelError> {
        let mut files = Vec::new();
        for entry in fs::read_dir(folder).map_err(SavedModelError::io("list", folder))? {
            let path = entry.map_err(SavedModelError::io("list", folder))?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            if name == MANIFEST_FILE {
                continue;
            }
            check_name(&name).map_err(|problem| SavedModelError::damaged(folder, problem))?;
            let (bytes, blake3) = measure(&path)?;
            files.push(ManifestFile { name, bytes, blake3 });
        }
        files.sort_by(|left, right| left.name.cmp(&right.name));
        let manifest = Self { format: FORMAT, kiln: env!("CARGO_PKG_VERSION").to_owned(), step, files };
        let blake3 = manifest.seal();
        let sealed = Sealed { manifest: manifest.clone(), blake3 };
        let path = folder.join(MANIFEST_FILE);
        let text = serde_json::to_string_pretty(&sealed)
            .map_err(|error| SavedModelError::damaged(folder, format!("the manifest has no text: {error}")))?;
        write_and_flush(&path, text.as_bytes())?;
        Ok(manifest)
    }

    /// Reads the manifest of `folder` and compares every file that it lists: kind, length and hash.
    ///
    /// # Errors
    /// [`SavedModelError::Damaged`] naming the first file that does not fit and how.
    pub fn verify(folder: &Path) -> Result<Self, SavedModelError> {
        let manifest = Self::read(folder)?;
        for file in &manifest.files {
            file.check(folder)?;
        }
        Ok(manifest)
    }

    /// Whether the checkpoint has a file of this name.
    pub fn lists(&self, name: &str) -> bool {
        self.files.iter().any(|file| file.name == name)
    }

    /// Reads the manifest and checks it by itself: layout, seal, names. Does not look at the files.
    pub(super) fn read(folder: &Path) -> Result<Self, SavedModelError> {
        let damaged = |problem: String| SavedModelError::damaged(folder, format!("`{MANIFEST_FILE}` {problem}"));
        let text = read_small(&folder.join(MANIFEST_FILE), LONGEST_MANIFEST)?;
        // The layout is asked for first, so that a newer one is called newer and not broken.
        let format = serde_json::from_slice::<AnyFormat>(&text).ok().map(|any| any.manifest.format);
        if let Some(found) = format.filter(|&found| found > FORMAT) {
            return Err(SavedModelError::Newer { path: folder.join(MANIFEST_FILE), found, known: FORMAT });
        }
        let sealed: Sealed =
            serde_json::from_slice(&text).map_err(|error| damaged(format!("cannot be read: {error}")))?;
        if sealed.manifest.seal() != sealed.blake3 {
            return Err(damaged("was changed after it was written (its hash differs)".into()));
        }
        let manifest = sealed.manifest;
        for (index, file) in manifest.files.iter().enumerate() {
            check_name(&file.name).map_err(|problem| damaged(format!("lists {problem}")))?;
            if manifest.files[..index].iter().any(|earlier| earlier.name == file.name) {
                return Err(damaged(format!("lists `{}` twice", file.name)));
            }
        }
        Ok(manifest)
    }

    /// The hash of the manifest's compact JSON.
    fn seal(&self) -> String {
        // A structure of numbers and texts always has a JSON form.
        let text = serde_json::to_vec(self).unwrap_or_default();
        blake3::hash(&text).to_hex().to_string()
    }
}

impl ManifestFile {
    /// Compares the file in `folder` with what the manifest says: kind, length, hash, the cheapest first.
    pub(super) fn check(&self, folder: &Path) -> Result<(), SavedModelError> {
        let damaged = |problem: String| SavedModelError::damaged(folder, format!("`{}` {problem}", self.name));
        let path = folder.join(&self.name);
        let metadata = match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(damaged("is missing".into())),
            other => other.map_err(SavedModelError::io("read", &path))?,
        };
        if !metadata.is_file() {
            return Err(damaged("is not a regular file".into()));
        }
        if metadata.len() != self.bytes {
            return Err(damaged(format!("has {} bytes instead of {}", metadata.len(), self.bytes)));
        }
        let (bytes, blake3) = measure(&path)?;
        if bytes != self.bytes || blake3 != self.blake3 {
            return Err(damaged("was changed after it was written (its hash differs)".into()));
        }
        Ok(())
    }
}

/// A name of one part that stays in its folder, on every system.
fn check_name(name: &str) -> Result<(), String> {
    let allowed = |character: char| character.is_ascii_alphanumeric() || "._-".contains(character);
    if name.is_empty() || name.starts_with('.') || name.len() > 255 || !name.chars().all(allowed) {
        return Err(format!("the name {name:?}, which no file of a checkpoint may have"));
    }
    if name == MANIFEST_FILE {
        return Err("itself".into());
    }
    Ok(())
}

/// Length and BLAKE3 hash of a regular file, read in pieces.
fn measure(path: &Path) -> Result<(u64, String), SavedModelError> {
    let file = open_regular(path, Links::Refused)
        .map_err(SavedModelError::io("read", path))?
        .ok_or_else(|| SavedModelError::NotAFile { path: path.to_path_buf() })?;
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file).map_err(SavedModelError::io("read", path))?;
    Ok((hasher.count(), hasher.finalize().to_hex().to_string()))
}

/// The content of a regular file that is at most `longest` bytes long.
pub(super) fn read_small(path: &Path, longest: u64) -> Result<Vec<u8>, SavedModelError> {
    let failed = SavedModelError::io("read", path);
    match read_regular(path, Links::Refused, longest) {
        Ok(Content::Bytes(bytes)) => Ok(bytes),
        Ok(Content::NotRegular) => Err(SavedModelError::NotAFile { path: path.to_path_buf() }),
        Ok(Content::TooLong) => Err(failed(std::io::Error::other(format!("it has more than {longest} bytes")))),
        Err(error) => Err(failed(error)),
    }
}
