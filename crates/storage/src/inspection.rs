//! A checkpoint looked at file by file, for people: nothing is loaded, and one damaged file hides no other.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::atomic::leftover;
use crate::error::StorageError;
use crate::files::DiskFiles;
use crate::formats::{FileHeader, PackedPlace, Place};
use crate::layout::{CHECKPOINTS, MANIFEST_FILE, step_of};
use crate::manifest::Manifest;

/// What is in the folder of a checkpoint.
#[derive(Debug, Serialize)]
pub struct CheckpointContents {
    /// Updates made before it was written, as its manifest says; nothing where that cannot be read.
    pub step: Option<u64>,
    /// The version of Kiln that wrote it.
    pub kiln: Option<String>,
    /// Every file, in alphabetical order.
    pub files: Vec<FileReport>,
    /// The tensors of all files.
    pub tensors: Vec<TensorReport>,
    /// The texts in the header of each tensor file, by the file's name.
    pub texts: BTreeMap<String, BTreeMap<String, String>>,
    /// Everything that is wrong; a checkpoint without such counts as whole.
    pub damage: Vec<String>,
}

/// A file of a checkpoint.
#[derive(Debug, Serialize)]
pub struct FileReport {
    /// Its name in the folder.
    pub name: String,
    /// Its length; nothing where it is missing.
    pub bytes: Option<u64>,
    /// The hash that the manifest gives it; nothing for the manifest itself, and for files that it does not list, which
    /// are never read.
    pub blake3: Option<String>,
    /// Whether kind, length and hash are those of the manifest; of the manifest, whether its own hash fits.
    pub verified: bool,
}

/// A tensor in a file, as the file's header describes it.
#[derive(Debug, Serialize)]
pub struct TensorReport {
    /// The file.
    pub file: String,
    /// The name.
    pub name: String,
    /// The sizes of its axes, of a packed matrix as it is unpacked.
    pub shape: Vec<usize>,
    /// The type of its numbers, as safetensors calls it, for example `F32`; of a packed matrix its format, and of one
    /// whose rows differ in it all of them: `Q4_K+Q6_K`.
    pub number_type: String,
}

/// Looks at every file of a checkpoint folder.
///
/// # Errors
/// The folder cannot be listed. Damage isn't an error here but part of the answer.
pub fn inspect_checkpoint(folder: &Path) -> Result<CheckpointContents, StorageError> {
    let lengths = lengths(folder)?;
    let mut contents = CheckpointContents {
        step: None,
        kiln: None,
        files: Vec::new(),
        tensors: Vec::new(),
        texts: BTreeMap::new(),
        damage: Vec::new(),
    };
    let manifest = if lengths.iter().any(|(name, _)| name == MANIFEST_FILE) {
        contents.note(Manifest::read(&DiskFiles, folder))
    } else {
        contents.damage.push(format!("`{MANIFEST_FILE}` is missing"));
        None
    };
    for file in manifest.iter().flat_map(|manifest| &manifest.files) {
        let bytes = lengths.iter().find(|(name, _)| *name == file.name).map(|(_, bytes)| *bytes);
        let checked = file.check(&DiskFiles, folder);
        let (name, blake3, verified) = (file.name.clone(), Some(file.blake3.clone()), checked.is_ok());
        contents.files.push(FileReport { name, bytes, blake3, verified });
        contents.note(checked);
    }
    let named = folder.file_name().and_then(|name| name.to_str()).and_then(step_of);
    if let Some(manifest) = manifest.as_ref().filter(|manifest| named.is_some_and(|step| step != manifest.step)) {
        contents.damage.push(format!("its manifest is that of step {}", manifest.step));
    }
    let is_listed = |name: &str| manifest.as_ref().is_some_and(|manifest| manifest.lists(name));
    for (name, bytes) in lengths.iter().filter(|(name, _)| !is_listed(name)) {
        // The manifest carries a hash of itself, with which it was read.
        let verified = name == MANIFEST_FILE && manifest.is_some();
        contents.files.push(FileReport { name: name.clone(), bytes: Some(*bytes), blake3: None, verified });
    }
    contents.files.sort_by(|left, right| left.name.cmp(&right.name));
    contents.read_headers(folder);
    contents.step = manifest.as_ref().map(|manifest| manifest.step);
    contents.kiln = manifest.map(|manifest| manifest.kiln);
    Ok(contents)
}

impl CheckpointContents {
    /// Adds the damage that a check found, once.
    fn note<T>(&mut self, checked: Result<T, StorageError>) -> Option<T> {
        match checked {
            Ok(value) => Some(value),
            Err(error) => {
                let problem = problem(&error);
                if !self.damage.contains(&problem) {
                    self.damage.push(problem);
                }
                None
            }
        }
    }

    /// Reads the headers of the tensor files that verified; damaged files have already been reported.
    fn read_headers(&mut self, folder: &Path) {
        let verified = self.files.iter().filter(|file| file.verified && file.name.ends_with(".safetensors"));
        let names: Vec<String> = verified.map(|file| file.name.clone()).collect();
        for name in names {
            if let Some((header, packed)) = self.note(header_of(&folder.join(&name))) {
                let mut tensors: Vec<TensorReport> =
                    header.tensors.into_iter().map(|found| report(&name, found, &packed)).collect();
                tensors.sort_by(|left, right| left.name.cmp(&right.name));
                self.tensors.extend(tensors);
                self.texts.insert(name, header.metadata);
            }
        }
    }
}

fn report(file: &str, (name, place): (String, Place), packed: &PackedPlaces) -> TensorReport {
    let (shape, number_type) = match packed.get(&name) {
        Some(packed) => (packed.shape().to_vec(), packed.formats().join("+")),
        None => (place.shape, place.dtype.to_string()),
    };
    TensorReport { file: file.to_owned(), name, shape, number_type }
}

/// What the packed matrices of a file are, by their names.
type PackedPlaces = BTreeMap<String, PackedPlace>;

fn header_of(path: &Path) -> Result<(FileHeader, PackedPlaces), StorageError> {
    let wrong = |source| StorageError::TensorFile { path: path.to_path_buf(), source };
    let mut opened = File::open(path).map_err(StorageError::io("open", path))?;
    let length = opened.metadata().map_err(StorageError::io("read", path))?.len();
    let header = FileHeader::read(&mut opened, length).map_err(wrong)?;
    let packed = header.packed().map_err(wrong)?;
    Ok((header, packed))
}

/// Names and lengths of what is in the folder.
fn lengths(folder: &Path) -> Result<Vec<(String, u64)>, StorageError> {
    let mut lengths = Vec::new();
    for entry in fs::read_dir(folder).map_err(StorageError::io("list", folder))? {
        let entry = entry.map_err(StorageError::io("list", folder))?;
        let metadata = entry.metadata().map_err(StorageError::io("read", &entry.path()))?;
        lengths.push((entry.file_name().to_string_lossy().into_owned(), metadata.len()));
    }
    lengths.sort();
    Ok(lengths)
}

/// What is wrong, without the folder, which the caller knows.
fn problem(error: &StorageError) -> String {
    match error {
        StorageError::Damaged { problem, .. } => problem.clone(),
        other => other.to_string(),
    }
}

/// What a process that was killed left half written in a run, and what it was about to replace.
///
/// # Errors
/// The folder of the run or that of its checkpoints cannot be listed.
pub fn list_leftovers(run: &Path) -> Result<Vec<PathBuf>, StorageError> {
    let mut leftovers = Vec::new();
    for folder in [run.to_path_buf(), run.join(CHECKPOINTS)] {
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            other => other.map_err(StorageError::io("list", &folder))?,
        };
        for entry in entries {
            let path = entry.map_err(StorageError::io("list", &folder))?.path();
            leftovers.extend(leftover(&path).map(|_| path));
        }
    }
    leftovers.sort();
    Ok(leftovers)
}
