//! What a sweep keeps of a run that diverged, so that a resumed sweep does not let it diverge again.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use kiln_settings::files::{Content, Links, read_regular};
use kiln_storage::layout::DIVERGED_FILE;
use serde::{Deserialize, Serialize};

/// It holds a number and a few words.
const LONGEST: u64 = 1 << 16;

/// Where a run diverged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Diverged {
    /// The update that was not made.
    pub step: u64,
    /// What was not finite.
    pub what: String,
}

/// Why a note cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum DivergedError {
    /// Another kind of file is there, or a longer one.
    #[error("{} is not a file of at most {LONGEST} bytes", .0.display())]
    NotANote(PathBuf),
    /// The system refuses.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// `read` or `write`.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It isn't what this program writes.
    #[error("{} is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

impl Diverged {
    /// The note in a run's folder, if it diverged within `steps` steps.
    ///
    /// # Errors
    /// See [`DivergedError`].
    pub fn read(folder: &Path, steps: u64) -> Result<Option<Self>, DivergedError> {
        let path = folder.join(DIVERGED_FILE);
        let bytes = match read_regular(&path, Links::Followed, LONGEST) {
            Ok(Content::Bytes(bytes)) => bytes,
            Ok(_) => return Err(DivergedError::NotANote(path)),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(DivergedError::Io { doing: "read", path, source }),
        };
        let diverged: Self =
            serde_json::from_slice(&bytes).map_err(|source| DivergedError::Damaged { path, source })?;
        Ok(Some(diverged).filter(|diverged| diverged.step <= steps))
    }

    /// Writes the note into a run's folder.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn write(&self, folder: &Path) -> Result<(), DivergedError> {
        let path = folder.join(DIVERGED_FILE);
        let damaged = |source| DivergedError::Damaged { path: path.clone(), source };
        let bytes = serde_json::to_vec(self).map_err(damaged)?;
        std::fs::write(&path, bytes).map_err(|source| DivergedError::Io { doing: "write", path, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_divergence_is_read_again_unless_it_lies_beyond_the_steps_of_the_run() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Diverged::read(folder.path(), 10).unwrap(), None);
        let diverged = Diverged { step: 7, what: "loss".to_owned() };
        diverged.write(folder.path()).unwrap();
        assert_eq!(Diverged::read(folder.path(), 7).unwrap(), Some(diverged));
        assert_eq!(Diverged::read(folder.path(), 6).unwrap(), None);
    }

    #[test]
    fn a_damaged_note_is_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(DIVERGED_FILE), "{").unwrap();
        let error = Diverged::read(folder.path(), 10).unwrap_err();
        assert!(matches!(error, DivergedError::Damaged { .. }) && error.to_string().contains(DIVERGED_FILE), "{error}");
    }
}
