//! What of a corpus is on this machine already.

use std::path::{Path, PathBuf};

use super::mirror::{self, Origin};
use super::{CorpusError, DataConfig, DownloadConfig, file};

/// A text file on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalFile {
    /// The file.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
}

impl DataConfig {
    /// The files of the text, found without reading them; `None` where it was not downloaded yet and where it is no
    /// file.
    ///
    /// # Errors
    /// Files that are missing or no files.
    pub fn local_files(&self, cache: &Path) -> Result<Option<Vec<LocalFile>>, CorpusError> {
        let files = self.files_here(cache)?;
        let local = |file: file::TextFile| LocalFile { path: file.path, bytes: file.bytes };
        Ok(files.map(|files| files.all.into_iter().map(local).collect()))
    }

    pub(super) fn files_here(&self, cache: &Path) -> Result<Option<file::Files>, CorpusError> {
        let has_files = self.file.is_some() || self.conversations.is_some();
        match (has_files, &self.download) {
            (true, _) => file::Files::find(self).map(Some),
            (false, Some(config)) => match on_this_machine(config, cache) {
                Some(path) => file::Files::of_download(file::TextFile::new(&path)?, self).map(Some),
                None => Ok(None),
            },
            (false, None) => Ok(None),
        }
    }
}

/// Where a download lies: in the cache, or where the mirror or the address point into the file system.
fn on_this_machine(config: &DownloadConfig, cache: &Path) -> Option<PathBuf> {
    let cached = cache.join("downloads").join(config.sha256.to_ascii_lowercase()).join(config.file_name());
    if cached.is_file() {
        return Some(cached);
    }
    let mirrored =
        mirror::from_environment().and_then(|mirror| mirror::origin(&mirror, config.file_name()).ok().flatten());
    match mirrored.unwrap_or_else(|| Origin::of_url(&config.url)) {
        Origin::Local(path) => Some(path).filter(|path| path.is_file()),
        Origin::Remote(_) => None,
    }
}
