//! Opening files that a user or another file names. Only regular files are read: a pipe may never be written to, a
//! device never ends, and neither has a length that a declared size could be compared with.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::Path;

/// Whether a symbolic link stands for the file that it leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// It does: the user's own paths.
    Followed,
    /// It does not: files that belong to a folder and must be in it.
    Refused,
}

/// Opens the file at `path` for reading; `None` if something other than a regular file is there.
///
/// The kind is asked before the file is opened, since opening a pipe waits for its writer, and again after, since the
/// name may lead elsewhere by then.
///
/// # Errors
/// What the system says.
pub fn open_regular(path: &Path, links: Links) -> io::Result<Option<File>> {
    let metadata = match links {
        Links::Followed => fs::metadata(path)?,
        Links::Refused => fs::symlink_metadata(path)?,
    };
    if !metadata.is_file() {
        return Ok(None);
    }
    let file = File::open(path)?;
    Ok(file.metadata()?.is_file().then_some(file))
}

/// What a file holds that is no longer than was allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// All of its bytes.
    Bytes(Vec<u8>),
    /// It is longer than allowed.
    TooLong,
    /// Something other than a regular file is there.
    NotRegular,
}

impl Content {
    /// The bytes, and what is there instead as an error.
    ///
    /// # Errors
    /// There is no regular file, or a longer one than was allowed.
    pub fn into_bytes(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::TooLong => Err(io::Error::new(ErrorKind::InvalidData, "it is longer than any file of its kind")),
            Self::NotRegular => Err(io::Error::new(ErrorKind::InvalidInput, "it is not a regular file")),
        }
    }
}

/// The content of the file at `path`, if it is a regular one of at most `longest` bytes. No more memory is taken than
/// that.
///
/// # Errors
/// What the system says.
pub fn read_regular(path: &Path, links: Links, longest: u64) -> io::Result<Content> {
    let Some(file) = open_regular(path, links)? else { return Ok(Content::NotRegular) };
    if file.metadata()?.len() > longest {
        return Ok(Content::TooLong);
    }
    // Some systems call files regular that have another length than they say, so the length is no more than a hint.
    let mut bytes = Vec::new();
    file.take(longest + 1).read_to_end(&mut bytes)?;
    Ok(if bytes.len() as u64 > longest { Content::TooLong } else { Content::Bytes(bytes) })
}
