//! A checkpoint that is read and verified in one pass, and tensor files that belong to none.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use kiln_settings::files::{Links, open_regular};

use crate::error::StorageError;
use crate::files::Files;
use crate::formats::gguf::GgufReader;
use crate::formats::{SafetensorsReader, TensorFile, TensorSource};
use crate::hashed::HashedFile;
use crate::layout::{MANIFEST_FILE, step_of};
use crate::manifest::{Manifest, open};

/// A checkpoint that is being read. Its manifest is sound, and every file that it lists is there with its length; the
/// content of a file is verified while it is read, and nothing that was read is given out before.
pub struct CheckpointReader<'a> {
    files: &'a dyn Files,
    run: &'a Path,
    folder: &'a Path,
    manifest: Manifest,
    verified: BTreeSet<String>,
}

impl<'a> CheckpointReader<'a> {
    /// Reads the manifest of `folder`, a checkpoint of `run`; a folder that is named after a step must be of that step.
    ///
    /// # Errors
    /// [`StorageError::Damaged`], and what the system says.
    pub fn open(files: &'a dyn Files, run: &'a Path, folder: &'a Path) -> Result<Self, StorageError> {
        let manifest_file = folder.join(MANIFEST_FILE);
        if files.kind(&manifest_file).is_err_and(|error| error.kind() == ErrorKind::NotFound) {
            return Err(StorageError::damaged(folder, format!("`{MANIFEST_FILE}` is missing")));
        }
        let manifest = Manifest::read(files, folder)?;
        for file in &manifest.files {
            file.check_length(files, folder)?;
        }
        match folder.file_name().and_then(|name| name.to_str()).and_then(step_of) {
            Some(step) if step != manifest.step => {
                Err(StorageError::damaged(folder, format!("its manifest is that of step {}", manifest.step)))
            }
            _ => Ok(Self { files, run, folder, manifest, verified: BTreeSet::new() }),
        }
    }

    /// The folder of the run, in which the tokenizer is.
    pub fn run(&self) -> &Path {
        self.run
    }

    /// The folder of the checkpoint.
    pub fn folder(&self) -> &Path {
        self.folder
    }

    /// What it consists of.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Lets `read` read a file, and verifies all of it.
    ///
    /// # Errors
    /// [`StorageError::Damaged`] if the manifest doesn't list the file, or its content is another one; else those of
    /// `read`.
    pub fn read<T, E: From<StorageError>>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut HashedFile) -> Result<T, E>,
    ) -> Result<T, E> {
        let Some(listed) = self.manifest.files.iter().find(|file| file.name == name) else {
            return Err(StorageError::damaged(self.folder, format!("its manifest lists no `{name}`")).into());
        };
        let mut file = HashedFile::new(open(self.files, &self.folder.join(name))?, listed.bytes);
        let outcome = read(&mut file);
        // That a file is damaged says more than what came of reading it.
        listed.check_hash(file, self.folder)?;
        self.verified.insert(name.to_owned());
        outcome
    }

    /// The content of a file of at most `longest` bytes.
    ///
    /// # Errors
    /// As [`CheckpointReader::read`]; also if the file is longer.
    pub fn read_small(&mut self, name: &str, longest: u64) -> Result<Vec<u8>, StorageError> {
        let path = self.folder.join(name);
        self.read(name, |file| {
            let mut bytes = Vec::new();
            file.take(longest + 1).read_to_end(&mut bytes).map_err(StorageError::io("read", &path))?;
            if bytes.len() as u64 > longest {
                let problem = std::io::Error::other(format!("it has more than {longest} bytes"));
                return Err(StorageError::io("read", &path)(problem));
            }
            Ok(bytes)
        })
    }

    /// Lets `read` pull tensors out of a safetensors file, and verifies all of the file. Tensors that are pulled in the
    /// order of [`TensorSource::names`] are read once.
    ///
    /// # Errors
    /// As [`CheckpointReader::read`]; also if it isn't a safetensors file.
    pub fn read_tensors<T, E: From<StorageError>>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut dyn TensorSource) -> Result<T, E>,
    ) -> Result<T, E> {
        let path = self.folder.join(name);
        self.read(name, |file| {
            let length = file.length();
            let source = SafetensorsReader::new(file, length);
            read(&mut source.map_err(|problem| StorageError::tensors(problem, &path, "read"))?)
        })
    }

    /// All tensors of a file.
    ///
    /// # Errors
    /// As [`CheckpointReader::read_tensors`].
    pub fn read_all_tensors(&mut self, name: &str) -> Result<TensorFile, StorageError> {
        let path = self.folder.join(name);
        self.read_tensors(name, |source| {
            TensorFile::read(source).map_err(|problem| StorageError::tensors(problem, &path, "read"))
        })
    }

    /// Verifies the files that were not read.
    ///
    /// # Errors
    /// [`StorageError::Damaged`] naming the first file that does not fit and how.
    pub fn finish(self) -> Result<Manifest, StorageError> {
        for file in self.manifest.files.iter().filter(|file| !self.verified.contains(&file.name)) {
            file.check(self.files, self.folder)?;
        }
        Ok(self.manifest)
    }
}

/// Verifies a checkpoint folder: reads its manifest, and compares kind, length and hash of every file that it lists.
///
/// # Errors
/// [`StorageError::Damaged`] naming the first file that does not fit and how.
pub fn verify_checkpoint(files: &dyn Files, folder: &Path) -> Result<Manifest, StorageError> {
    CheckpointReader::open(files, folder, folder)?.finish()
}

/// Opens a safetensors file of its own, and reads its header alone.
///
/// # Errors
/// Anything that is not exactly such a file, and what the system says; only a regular file is opened.
pub fn open_tensors(path: &Path, links: Links) -> Result<SafetensorsReader<File>, StorageError> {
    let file = open_regular(path, links).map_err(StorageError::io("read", path))?;
    let file = file.ok_or_else(|| StorageError::NotAFile { path: path.to_path_buf() })?;
    let length = file.metadata().map_err(StorageError::io("read", path))?.len();
    SafetensorsReader::new(file, length).map_err(|problem| StorageError::tensors(problem, path, "read"))
}

/// Opens a GGUF file, and reads its header alone.
///
/// # Errors
/// As [`open_tensors`].
pub fn open_gguf(path: &Path, links: Links) -> Result<GgufReader<File>, StorageError> {
    let file = open_regular(path, links).map_err(StorageError::io("read", path))?;
    let file = file.ok_or_else(|| StorageError::NotAFile { path: path.to_path_buf() })?;
    let length = file.metadata().map_err(StorageError::io("read", path))?.len();
    GgufReader::new(file, length).map_err(|problem| StorageError::gguf(problem, path, "read"))
}

/// Reads all of a safetensors file.
///
/// # Errors
/// As [`open_tensors`].
pub fn read_safetensors(path: &Path) -> Result<TensorFile, StorageError> {
    let mut source = open_tensors(path, Links::Refused)?;
    TensorFile::read(&mut source).map_err(|problem| StorageError::tensors(problem, path, "read"))
}
