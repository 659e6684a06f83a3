//! The manifest of a checkpoint: which files it consists of, how long each is, and its BLAKE3 hash.
//!
//! A checkpoint counts only when its manifest fits. The manifest carries a hash of itself too, so that no change of a
//! single bit, in it or in the files that it lists, goes unseen. Files that it does not list are never read.

use std::io::{self, ErrorKind, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::StorageError;
use crate::files::{Files, Kind, ReadFile};
use crate::hashed::HashedFile;
use crate::layout::MANIFEST_FILE;

/// The layout that this program writes, and the newest that it reads.
const FORMAT: u64 = 1;
/// A manifest lists a handful of files; a longer one isn't a manifest.
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
    pub(crate) fn new(step: u64, mut files: Vec<ManifestFile>) -> Self {
        files.sort_by(|left, right| left.name.cmp(&right.name));
        Self { format: FORMAT, kiln: env!("CARGO_PKG_VERSION").to_owned(), step, files }
    }

    /// The text of the file, with its hash.
    pub(crate) fn sealed(&self) -> Result<String, String> {
        let sealed = Sealed { manifest: self.clone(), blake3: self.seal() };
        serde_json::to_string_pretty(&sealed).map_err(|error| format!("the manifest has no text: {error}"))
    }

    /// Makes sure that every name stays in its folder and is there once; else what is wrong, to stand after `lists`.
    pub(crate) fn check_names(&self) -> Result<(), String> {
        for (index, file) in self.files.iter().enumerate() {
            check_name(&file.name)?;
            if self.files[..index].iter().any(|earlier| earlier.name == file.name) {
                return Err(format!("`{}` twice", file.name));
            }
        }
        Ok(())
    }

    /// Whether the checkpoint has a file of this name.
    pub fn lists(&self, name: &str) -> bool {
        self.files.iter().any(|file| file.name == name)
    }

    /// Reads the manifest and checks it by itself: layout, seal, names. Does not look at the files.
    pub(crate) fn read(files: &dyn Files, folder: &Path) -> Result<Self, StorageError> {
        let damaged = |problem: String| StorageError::damaged(folder, format!("`{MANIFEST_FILE}` {problem}"));
        let text = read_small(files, &folder.join(MANIFEST_FILE), LONGEST_MANIFEST)?;
        // The layout is asked for first, so that a newer one is called newer and not broken.
        let format = serde_json::from_slice::<AnyFormat>(&text).ok().map(|any| any.manifest.format);
        if let Some(found) = format.filter(|&found| found > FORMAT) {
            return Err(StorageError::Newer { path: folder.join(MANIFEST_FILE), found, known: FORMAT });
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
    pub(crate) fn check(&self, files: &dyn Files, folder: &Path) -> Result<(), StorageError> {
        self.check_length(files, folder)?;
        self.check_hash(HashedFile::new(open(files, &folder.join(&self.name))?, self.bytes), folder)
    }

    /// Compares kind and length of the file in `folder` with what the manifest says, without reading it.
    pub(crate) fn check_length(&self, files: &dyn Files, folder: &Path) -> Result<(), StorageError> {
        let path = folder.join(&self.name);
        match files.kind(&path) {
            Ok(Kind::File { bytes }) if bytes == self.bytes => Ok(()),
            Ok(Kind::File { bytes }) => {
                Err(self.damaged(folder, &format!("has {bytes} bytes instead of {}", self.bytes)))
            }
            Ok(_) => Err(self.damaged(folder, "is not a regular file")),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(self.damaged(folder, "is missing")),
            Err(error) => Err(StorageError::io("read", &path)(error)),
        }
    }

    /// Compares the content of the file, some of which may have been read, with what the manifest says.
    pub(crate) fn check_hash(&self, file: HashedFile, folder: &Path) -> Result<(), StorageError> {
        let (bytes, hash) = file.finish().map_err(StorageError::io("read", &folder.join(&self.name)))?;
        if bytes != self.bytes || *hash.to_hex() != *self.blake3 {
            return Err(self.damaged(folder, "was changed after it was written (its hash differs)"));
        }
        Ok(())
    }

    fn damaged(&self, folder: &Path, problem: &str) -> StorageError {
        StorageError::damaged(folder, format!("`{}` {problem}", self.name))
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

/// The content of a regular file that is at most `longest` bytes long. No more memory is taken than that.
///
/// # Errors
/// The file cannot be read, is longer, or isn't a regular one.
pub fn read_small(files: &dyn Files, path: &Path, longest: u64) -> Result<Vec<u8>, StorageError> {
    let mut bytes = Vec::new();
    open(files, path)?.take(longest + 1).read_to_end(&mut bytes).map_err(StorageError::io("read", path))?;
    if bytes.len() as u64 > longest {
        return Err(StorageError::io("read", path)(io::Error::other(format!("it has more than {longest} bytes"))));
    }
    Ok(bytes)
}

/// Opens a regular file.
pub(crate) fn open(files: &dyn Files, path: &Path) -> Result<Box<dyn ReadFile>, StorageError> {
    let file = files.read(path).map_err(StorageError::io("read", path))?;
    file.ok_or_else(|| StorageError::NotAFile { path: path.to_path_buf() })
}
