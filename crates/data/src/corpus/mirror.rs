//! A mirror: another place that a download may come from, named by the environment.

use std::path::{Path, PathBuf};

/// Names a file, a folder, a `file://` address or the base of an http address, where a file of the same name is taken
/// from.
pub const MIRROR_VARIABLE: &str = "KILN_MIRROR";

/// What [`MIRROR_VARIABLE`] says, if anything.
pub(super) fn from_environment() -> Option<String> {
    std::env::var(MIRROR_VARIABLE).ok().filter(|value| !value.is_empty())
}

/// Where a file is to be fetched from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// A file on this machine.
    Local(PathBuf),
    /// An address.
    Remote(String),
}

impl Origin {
    /// The origin that an address names.
    pub(super) fn of_url(url: &str) -> Self {
        match url.strip_prefix("file://") {
            Some(path) => Self::Local(PathBuf::from(path)),
            None => Self::Remote(url.to_owned()),
        }
    }
}

/// Where `mirror` has the file `name`; `None` if it is a folder or a file that does not have it.
///
/// # Errors
/// A path that is not there: a user who names a mirror wants to know.
pub(super) fn origin(mirror: &str, name: &str) -> Result<Option<Origin>, String> {
    if mirror.starts_with("http://") || mirror.starts_with("https://") {
        return Ok(Some(Origin::Remote(format!("{}/{name}", mirror.trim_end_matches('/')))));
    }
    let path = Path::new(mirror.strip_prefix("file://").unwrap_or(mirror));
    let metadata = std::fs::metadata(path).map_err(|error| format!("{MIRROR_VARIABLE} names {mirror:?}: {error}"))?;
    let file = if metadata.is_dir() { path.join(name) } else { path.to_owned() };
    let has_it = file.file_name().is_some_and(|found| found == name) && file.is_file();
    Ok(has_it.then_some(Origin::Local(file)))
}
