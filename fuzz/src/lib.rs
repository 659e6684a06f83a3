//! What the targets share: a file to read, since several formats are read from paths only.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

pub use blake3::hash as blake3;

/// A folder with one file.
pub struct Scratch {
    folder: tempfile::TempDir,
    file: PathBuf,
}

impl Scratch {
    /// Writes `bytes` as the file `name` of this thread's folder and calls `read` with it.
    pub fn with(name: &str, bytes: &[u8], read: impl FnOnce(&Self)) {
        thread_local!(static SCRATCH: OnceCell<Scratch> = const { OnceCell::new() });
        SCRATCH.with(|scratch| {
            let scratch = scratch.get_or_init(|| {
                let folder = tempfile::tempdir().expect("a temporary folder");
                Self { file: folder.path().join(name), folder }
            });
            std::fs::write(&scratch.file, bytes).expect("the folder can be written");
            read(scratch);
        });
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Whether an error names the folder, and with it the file.
    pub fn is_named_by(&self, message: &str) -> bool {
        message.contains(&*self.folder.path().to_string_lossy())
    }
}
