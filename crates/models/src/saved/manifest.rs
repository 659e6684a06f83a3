//! The manifest of a checkpoint: which files it consists of, how long each is, and its BLAKE3 hash.
//!
//! A checkpoint counts only when its manifest fits. The manifest carries a hash of itself too, so that no change of a
//! single bit, in it or in the files that it lists, goes unseen. Files that it does not list are never read.

use std::io::{self, ErrorKind, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::SavedModelError;
use super::files::{DiskFiles, Files, Kind};

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
    /// The manifest of a checkpoint of `step` that consists of these files.
    pub(super) fn new(step: u64, mut files: Vec<ManifestFile>) -> Self {
        files.sort_by(|left, right| left.name.cmp(&right.name));
        Self { format: FORMAT, kiln: env!("CARGO_PKG_VERSION").to_owned(), step, files }
    }

    /// The text of the file, with its hash.
    pub(super) fn sealed(&self) -> Result<String, String> {
        let sealed = Sealed { manifest: self.clone(), blake3: self.seal() };
        serde_json::to_string_pretty(&sealed).map_err(|error| format!("the manifest has no text: {error}"))
    }

    /// Makes sure that every name stays in its folder and is there once; else what is wrong, to stand after `lists`.
    pub(super) fn check_names(&self) -> Result<(), String> {
        for (index, file) in self.files.iter().enumerate() {
            check_name(&file.name)?;
            if self.files[..index].iter().any(|earlier| earlier.name == file.name) {
                return Err(format!("`{}` twice", file.name));
            }
        }
        Ok(())
    }

    /// Reads the manifest of `folder` and compares every file that it lists: kind, length and hash.
    ///
    /// # Errors
    /// [`SavedModelError::Damaged`] naming the first file that does not fit and how.
    pub fn verify(folder: &Path) -> Result<Self, SavedModelError> {
        Self::verify_in(&DiskFiles, folder)
    }

    /// The same in another file system than the disk.
    ///
    /// # Errors
    /// As [`Manifest::verify`].
    pub fn verify_in(files: &dyn Files, folder: &Path) -> Result<Self, SavedModelError> {
        let manifest = Self::read(files, folder)?;
        for file in &manifest.files {
            file.check(files, folder)?;
        }
        Ok(manifest)
    }

    /// Whether the checkpoint has a file of this name.
    pub fn lists(&self, name: &str) -> bool {
        self.files.iter().any(|file| file.name == name)
    }

    /// Reads the manifest and checks it by itself: layout, seal, names. Does not look at the files.
    pub(super) fn read(files: &dyn Files, folder: &Path) -> Result<Self, SavedModelError> {
        let damaged = |problem: String| SavedModelError::damaged(folder, format!("`{MANIFEST_FILE}` {problem}"));
        let text = read_small(files, &folder.join(MANIFEST_FILE), LONGEST_MANIFEST)?;
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
        manifest.check_names().map_err(|problem| damaged(format!("lists {problem}")))?;
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
    pub(super) fn check(&self, files: &dyn Files, folder: &Path) -> Result<(), SavedModelError> {
        let damaged = |problem: String| SavedModelError::damaged(folder, format!("`{}` {problem}", self.name));
        let path = folder.join(&self.name);
        match files.kind(&path) {
            Ok(Kind::File { bytes }) if bytes == self.bytes => {}
            Ok(Kind::File { bytes }) => return Err(damaged(format!("has {bytes} bytes instead of {}", self.bytes))),
            Ok(_) => return Err(damaged("is not a regular file".into())),
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(damaged("is missing".into())),
            Err(error) => return Err(SavedModelError::io("read", &path)(error)),
        }
        let (bytes, blake3) = measure(files, &path)?;
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
fn measure(files: &dyn Files, path: &Path) -> Result<(u64, String), SavedModelError> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(open(files, path)?).map_err(SavedModelError::io("read", path))?;
    Ok((hasher.count(), hasher.finalize().to_hex().to_string()))
}

/// The content of a regular file that is at most `longest` bytes long. No more memory is taken than that.
///
/// # Errors
/// The file cannot be read, is longer, or is no regular one.
pub fn read_small(files: &dyn Files, path: &Path, longest: u64) -> Result<Vec<u8>, SavedModelError> {
    let mut bytes = Vec::new();
    open(files, path)?.take(longest + 1).read_to_end(&mut bytes).map_err(SavedModelError::io("read", path))?;
    if bytes.len() as u64 > longest {
        return Err(SavedModelError::io("read", path)(io::Error::other(format!("it has more than {longest} bytes"))));
    }
    Ok(bytes)
}

fn open(files: &dyn Files, path: &Path) -> Result<Box<dyn Read>, SavedModelError> {
    let file = files.read(path).map_err(SavedModelError::io("read", path))?;
    file.ok_or_else(|| SavedModelError::NotAFile { path: path.to_path_buf() })
}
