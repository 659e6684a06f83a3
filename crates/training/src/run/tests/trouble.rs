//! A file system in which one chosen call goes wrong.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use kiln_storage::{DiskFiles, Files, Kind, OpenFile, ReadFile};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The call fails with this number of the system and does nothing.
    Error(i32),
    /// A writing takes half of the bytes; other calls are unchanged.
    ShortWrite,
    /// The call panics.
    Panic,
    /// The process is killed: a writing takes half of the bytes, and nothing is done from then on.
    Killed,
}

pub(crate) const INTERRUPTED: i32 = 4;
pub(crate) const BROKEN: i32 = 5;
pub(crate) const DENIED: i32 = 13;
pub(crate) const FULL: i32 = 28;
pub(crate) const READ_ONLY: i32 = 30;
/// The number of Linux.
pub(crate) const OVER_QUOTA: i32 = 122;

/// Decides what goes wrong in a call: its number from 0, its name, and the path. It may let the call wait.
type Plan = Box<dyn Fn(u64, &'static str, &Path) -> Option<Trouble> + Send + Sync>;

/// The disk, with a plan of what goes wrong. Its clones share everything.
#[derive(Clone)]
pub(crate) struct TroubledFiles(Arc<Shared>);

struct Shared {
    plan: Plan,
    calls: AtomicU64,
    /// The name of every call so far.
    names: Mutex<Vec<&'static str>>,
    dead: AtomicBool,
}

impl TroubledFiles {
    pub(crate) fn new(plan: impl Fn(u64, &'static str, &Path) -> Option<Trouble> + Send + Sync + 'static) -> Self {
        Self(Arc::new(Shared {
            plan: Box::new(plan),
            calls: AtomicU64::new(0),
            names: Mutex::new(Vec::new()),
            dead: AtomicBool::new(false),
        }))
    }

    /// The names of all calls.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.0.names.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Counts a call. Says whether it is to be done in part only.
    fn call(&self, name: &'static str, path: &Path) -> io::Result<bool> {
        let number = self.0.calls.fetch_add(1, Ordering::SeqCst);
        self.0.names.lock().unwrap_or_else(PoisonError::into_inner).push(name);
        if self.0.dead.load(Ordering::SeqCst) {
            return Err(io::Error::other("the process is dead"));
        }
        match (self.0.plan)(number, name, path) {
            None => Ok(false),
            Some(Trouble::Error(code)) => Err(io::Error::from_raw_os_error(code)),
            Some(Trouble::ShortWrite) => Ok(true),
            Some(Trouble::Panic) => panic!("call {number}, {name} of {}", path.display()),
            Some(Trouble::Killed) => {
                self.0.dead.store(true, Ordering::SeqCst);
                if name == "write" { Ok(true) } else { Err(io::Error::other("the process was killed")) }
            }
        }
    }

    fn opened(&self, path: &Path, file: Box<dyn OpenFile>) -> Box<dyn OpenFile> {
        Box::new(TroubledFile { files: self.clone(), path: path.to_path_buf(), file })
    }
}

impl Files for TroubledFiles {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.call("create folder", path)?;
        DiskFiles.create_folder(path)
    }

    fn create_file(&self, path: &Path) -> io::Result<Box<dyn OpenFile>> {
        self.call("create file", path)?;
        Ok(self.opened(path, DiskFiles.create_file(path)?))
    }

    fn append_to(&self, path: &Path) -> io::Result<Box<dyn OpenFile>> {
        self.call("append to", path)?;
        Ok(self.opened(path, DiskFiles.append_to(path)?))
    }

    fn read(&self, path: &Path) -> io::Result<Option<Box<dyn ReadFile>>> {
        self.call("read", path)?;
        DiskFiles.read(path)
    }

    fn kind(&self, path: &Path) -> io::Result<Kind> {
        self.call("kind", path)?;
        DiskFiles.kind(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        self.call("list", folder)?;
        DiskFiles.list(folder)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call("rename", from)?;
        DiskFiles.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.call("remove file", path)?;
        DiskFiles.remove_file(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        self.call("remove folder", path)?;
        DiskFiles.remove_folder(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.call("sync folder", path)?;
        DiskFiles.sync_folder(path)
    }
}

struct TroubledFile {
    files: TroubledFiles,
    path: PathBuf,
    file: Box<dyn OpenFile>,
}

impl OpenFile for TroubledFile {
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let in_part = self.files.call("write", &self.path)?;
        self.file.write(if in_part { &bytes[..bytes.len().div_ceil(2)] } else { bytes })
    }

    fn sync(&self) -> io::Result<()> {
        self.files.call("sync", &self.path)?;
        self.file.sync()
    }

    fn cut(&self, length: u64) -> io::Result<()> {
        self.files.call("cut", &self.path)?;
        self.file.cut(length)
    }

    fn reader(&self) -> io::Result<Box<dyn Read>> {
        self.files.call("reader", &self.path)?;
        self.file.reader()
    }
}
