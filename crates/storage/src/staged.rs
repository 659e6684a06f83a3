//! A checkpoint folder while it is filled.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use burn::tensor::TensorData;

use crate::error::StorageError;
use crate::files::{Files, OpenFile, Writer};
use crate::formats::{TensorFileError, write_tensors};
use crate::layout::MANIFEST_FILE;
use crate::manifest::{Manifest, ManifestFile};

/// Takes the files of a checkpoint, hashes what is written, and flushes each to the disk.
pub struct StagedFolder<'a> {
    files: &'a dyn Files,
    path: PathBuf,
    written: Vec<ManifestFile>,
}

impl<'a> StagedFolder<'a> {
    /// Makes the folder.
    pub(crate) fn create(files: &'a dyn Files, path: &Path) -> Result<Self, StorageError> {
        files.create_folder(path).map_err(StorageError::io("create folder", path))?;
        Ok(Self { files, path: path.to_path_buf(), written: Vec::new() })
    }

    /// Writes a file.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(&mut self, name: &str, content: &[u8]) -> Result<(), StorageError> {
        self.write_by(name, |writer| Ok(writer.write_all(content)?))
    }

    /// Writes a safetensors file in pieces, without a second copy of the tensors in memory.
    ///
    /// # Errors
    /// A type of number that the format doesn't have, a tensor named `__metadata__`, and what the system says.
    pub fn write_tensors(
        &mut self,
        name: &str,
        tensors: &BTreeMap<String, TensorData>,
        metadata: &BTreeMap<String, String>,
    ) -> Result<(), StorageError> {
        self.write_by(name, |writer| write_tensors(writer, tensors, metadata))
    }

    fn write_by(
        &mut self,
        name: &str,
        write: impl FnOnce(&mut dyn Write) -> Result<(), TensorFileError>,
    ) -> Result<(), StorageError> {
        let path = self.path.join(name);
        let file = self.files.create_file(&path).map_err(StorageError::io("create", &path))?;
        let mut writer = BufWriter::new(Hashing { file: &*file, hasher: blake3::Hasher::new() });
        write(&mut writer)
            .and_then(|()| Ok(writer.flush()?))
            .map_err(|problem| StorageError::tensors(problem, &path, "write"))?;
        file.sync().map_err(StorageError::io("flush", &path))?;
        let hasher = &writer.get_ref().hasher;
        let (bytes, blake3) = (hasher.count(), hasher.finalize().to_hex().to_string());
        self.written.push(ManifestFile { name: name.to_owned(), bytes, blake3 });
        Ok(())
    }

    /// Adds the manifest and flushes the names of all files.
    pub(crate) fn finish(mut self, step: u64) -> Result<Manifest, StorageError> {
        let manifest = Manifest::new(step, std::mem::take(&mut self.written));
        manifest.check_names().map_err(|problem| StorageError::damaged(&self.path, problem))?;
        let text = manifest.sealed().map_err(|problem| StorageError::damaged(&self.path, problem))?;
        self.write(MANIFEST_FILE, text.as_bytes())?;
        self.files.sync_folder(&self.path).map_err(StorageError::io("flush", &self.path))?;
        Ok(manifest)
    }
}

/// Hashes what the file took.
struct Hashing<'a> {
    file: &'a dyn OpenFile,
    hasher: blake3::Hasher,
}

impl Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = Writer(self.file).write(bytes)?;
        self.hasher.update(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
