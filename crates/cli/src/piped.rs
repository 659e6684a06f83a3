//! Texts that come through a pipe: they can be read only once, so they are put into a file first.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::Context;
use kiln_settings::files::{Content, Links, read_regular};
use tempfile::TempDir;

/// What to do where a pipe stands for a configuration or for a text to train on: a run reads its text more than once,
/// and is started again by the name of its configuration.
pub(crate) const INSTEAD: &str =
    "put a configuration into a file; `kiln new NAME --text -` takes a text through a pipe, and saves it";

/// Stands for standard input.
const STDIN: &str = "-";

/// Whether a name stands for text that can be read only once: `-`, or a pipe, as a shell puts it in the place of
/// `<(command)`.
pub(crate) fn is_piped(path: &Path) -> bool {
    path.as_os_str() == STDIN || is_pipe(path)
}

#[cfg(unix)]
fn is_pipe(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    std::fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo())
}

#[cfg(not(unix))]
fn is_pipe(_: &Path) -> bool {
    false
}

/// What such a name is called in messages.
pub(crate) fn name(path: &Path) -> String {
    if path.as_os_str() == STDIN { "standard input".to_owned() } else { path.display().to_string() }
}

/// What comes through it.
///
/// # Errors
/// When it cannot be opened.
pub(crate) fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    if path.as_os_str() == STDIN { Ok(Box::new(io::stdin().lock())) } else { Ok(Box::new(File::open(path)?)) }
}

/// Puts all that comes through it into the file `to`.
///
/// # Errors
/// When it cannot be read, or the file not be written.
pub(crate) fn save(path: &Path, to: &Path) -> anyhow::Result<()> {
    let mut file = File::create(to).with_context(|| format!("cannot write {}", to.display()))?;
    let mut piped = open(path).with_context(|| format!("cannot read {}", name(path)))?;
    io::copy(&mut piped, &mut file).with_context(|| format!("cannot copy {} to {}", name(path), to.display()))?;
    Ok(())
}

/// The text of a file, of a pipe, or of stdin, which `-` stands for. `what` it is, stands in messages.
///
/// # Errors
/// What the system says; a text longer than `longest` bytes, or one that isn't UTF-8.
pub(crate) fn read_text(path: &Path, longest: u64, what: &str) -> anyhow::Result<String> {
    let place = if path.as_os_str() == STDIN { "on stdin".to_owned() } else { format!("`{}`", path.display()) };
    let bytes = if is_piped(path) {
        open(path).and_then(|from| read_at_most(from, longest))
    } else {
        read_regular(path, Links::Followed, longest).and_then(Content::into_bytes)
    };
    let bytes = bytes.with_context(|| format!("cannot read the {what} {place}"))?;
    String::from_utf8(bytes).map_err(|error| {
        let byte = error.utf8_error().valid_up_to();
        anyhow::anyhow!(
            "the {what} {place} is not UTF-8: byte {byte} (counted from 0) begins no character; convert it, for \
             example with `iconv -t UTF-8`"
        )
    })
}

fn read_at_most(from: impl Read, longest: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(longest.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > longest {
        return Err(io::Error::other(format!("it is longer than {longest} bytes")));
    }
    Ok(bytes)
}

/// A file to read in place of what an argument names: that one, or what came through it in a file that goes with this.
pub(crate) enum Readable<'a> {
    /// The file itself.
    File(&'a Path),
    /// What came through a pipe.
    Spooled(Spooled),
}

impl<'a> Readable<'a> {
    /// Reads a pipe to its end.
    ///
    /// # Errors
    /// As [`save`].
    pub(crate) fn of(path: &'a Path) -> anyhow::Result<Self> {
        if is_piped(path) { Ok(Self::Spooled(Spooled::read(path)?)) } else { Ok(Self::File(path)) }
    }

    /// The file.
    pub(crate) fn path(&self) -> PathBuf {
        match self {
            Self::File(path) => path.to_path_buf(),
            Self::Spooled(spooled) => spooled.path(),
        }
    }
}

/// What came through a pipe, in a file that goes with this.
pub(crate) struct Spooled {
    folder: TempDir,
}

impl Spooled {
    /// Reads the pipe to its end.
    ///
    /// # Errors
    /// As [`save`].
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("cannot make a folder for temporary files")?;
        let spooled = Self { folder };
        save(path, &spooled.path())?;
        Ok(spooled)
    }

    /// The file.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("standard input")
    }

    /// A folder for what is made of it.
    pub(crate) fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }
}
