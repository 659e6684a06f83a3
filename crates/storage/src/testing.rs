//! For tests of what reads and writes: the disk, watched.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::files::{DiskFiles, Files, Kind, OpenFile, ReadFile};

/// The disk, with a count of the bytes that are read of each file. Its clones share the count.
#[derive(Debug, Clone, Default)]
pub struct CountingFiles(Counts);

type Counts = Arc<Mutex<BTreeMap<PathBuf, u64>>>;

impl CountingFiles {
    /// How many bytes were read of each file so far, those that were read twice counted twice.
    pub fn bytes_read(&self) -> BTreeMap<PathBuf, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

struct CountedFile {
    counts: Counts,
    path: PathBuf,
    file: Box<dyn ReadFile>,
}

impl Read for CountedFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let taken = self.file.read(buffer)?;
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(self.path.clone()).or_default() += taken as u64;
        Ok(taken)
    }
}

impl Seek for CountedFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

impl Files for CountingFiles {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        DiskFiles.create_folder(path)
    }

    fn create_file(&self, path: &Path) -> io::Result<Box<dyn OpenFile>> {
        DiskFiles.create_file(path)
    }

    fn append_to(&self, path: &Path) -> io::Result<Box<dyn OpenFile>> {
        DiskFiles.append_to(path)
    }

    fn read(&self, path: &Path) -> io::Result<Option<Box<dyn ReadFile>>> {
        let Some(file) = DiskFiles.read(path)? else { return Ok(None) };
        Ok(Some(Box::new(CountedFile { counts: Arc::clone(&self.0), path: path.to_path_buf(), file })))
    }

    fn kind(&self, path: &Path) -> io::Result<Kind> {
        DiskFiles.kind(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        DiskFiles.list(folder)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        DiskFiles.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        DiskFiles.remove_file(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        DiskFiles.remove_folder(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        DiskFiles.sync_folder(path)
    }
}
