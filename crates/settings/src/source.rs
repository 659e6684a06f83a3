//! The file on disk.

use std::io;
use std::path::{Path, PathBuf};

use crate::files::{Content, Links, read_regular};

use super::problem::{ConfigErrors, Source};

/// Nobody writes settings of more bytes; a larger file was named by mistake. The tree and the mistakes of a file take
/// up to five hundred times its text, which this keeps to some thirty megabytes.
pub const MOST_BYTES: u64 = 64 << 10;

/// Why a configuration file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigFileError {
    /// The system refused.
    #[error("cannot read the configuration `{}`: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A folder, a device or a pipe.
    #[error("`{}` is not a file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// The file is too large for a configuration.
    #[error("`{}` has more than {MOST_BYTES} bytes, which is no configuration", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The file isn't UTF-8 text.
    #[error("{}:{line}:{column}: this is not TOML: byte {offset} is not UTF-8 text", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// The first byte that is not UTF-8.
        offset: usize,
        /// Its line, from one.
        line: usize,
        /// Its column in characters, from one.
        column: usize,
    },
    /// The text is wrong.
    #[error(transparent)]
    Wrong(#[from] ConfigErrors),
}

impl ConfigFileError {
    /// What to do about it, if the error itself says.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Io { path, source } if source.kind() == io::ErrorKind::NotFound => suggest_file(path),
            Self::Io { .. } | Self::NotAFile { .. } | Self::TooLarge { .. } | Self::Wrong(_) => None,
            Self::NotText { .. } => Some("save the file as UTF-8".into()),
        }
    }
}

/// Reads the text of a file of settings, to be given to [`read`](super::read).
///
/// # Errors
/// When it cannot be read, isn't a regular file, is larger than 64 KiB or isn't UTF-8.
pub fn read_source(path: &Path) -> Result<Source, ConfigFileError> {
    let failed = |source| ConfigFileError::Io { path: path.to_path_buf(), source };
    let bytes = match read_regular(path, Links::Followed, MOST_BYTES).map_err(failed)? {
        Content::Bytes(bytes) => bytes,
        Content::NotRegular => return Err(ConfigFileError::NotAFile { path: path.to_path_buf() }),
        Content::TooLong => return Err(ConfigFileError::TooLarge { path: path.to_path_buf() }),
    };
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Source::new(path.display().to_string(), text)),
        Err(error) => {
            let offset = error.utf8_error().valid_up_to();
            let before = String::from_utf8_lossy(&error.as_bytes()[..offset]).into_owned();
            let (line, column) = super::problem::position(&before, offset);
            Err(ConfigFileError::NotText { path: path.to_path_buf(), offset, line, column })
        }
    }
}

/// "did you mean" for a file that is not there.
fn suggest_file(path: &Path) -> Option<String> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let wanted = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let mut files: Vec<String> =
        files.filter_map(|name| name.into_string().ok()).filter(|name| name.ends_with(".toml")).collect();
    files.sort();
    let names: Vec<&str> = files.iter().map(String::as_str).collect();
    let meant = super::suggestion::nearest(&wanted, &names)?;
    Some(format!("did you mean `{}`?", path.with_file_name(meant).display()))
}
