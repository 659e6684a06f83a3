//! Fetching a file once: into the cache folder, resumed, verified, and then renamed.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::mirror::{self, Origin};
use super::transfer::{Report, Target, receive};
use super::{DownloadConfig, DownloadError};
use crate::lock::FolderLock;

/// The path of the verified file in `cache`, fetched from `mirror` or the address if it is not there yet.
pub(super) fn fetch(
    config: &DownloadConfig,
    cache: &Path,
    mirror: Option<&str>,
    report: Report,
) -> Result<PathBuf, DownloadError> {
    let expected = config.sha256.to_ascii_lowercase();
    let folder = cache.join(crate::cache::DOWNLOADS).join(&expected);
    // Two runs that start together must not write into the same part.
    let _lock = FolderLock::acquire(&folder).map_err(|source| DownloadError::File { path: folder.clone(), source })?;
    let path = folder.join(config.file_name());
    if path.is_file() && hash_of(&path)? == expected {
        return Ok(path);
    }
    let part = folder.join(format!("{}.part", config.file_name()));
    let wanted = Wanted { target: Target { name: config.file_name(), part: &part }, hash: &expected };
    let taken = mirror_origin(config, mirror).and_then(|mirror| wanted.take(mirror.as_ref(), &config.url, report));
    if taken.is_err() && !path.exists() && !part.exists() {
        // There is nothing to resume from.
        let _ = std::fs::remove_dir_all(&folder);
    }
    taken.and_then(|()| rename(&part, &path))?;
    Ok(path)
}

fn mirror_origin(config: &DownloadConfig, mirror: Option<&str>) -> Result<Option<Origin>, DownloadError> {
    let Some(mirror) = mirror else { return Ok(None) };
    mirror::origin(mirror, config.file_name()).map_err(|reason| DownloadError::Mirror { reason })
}

/// A file with the hash that it must have.
struct Wanted<'a> {
    target: Target<'a>,
    /// SHA-256 in lower-case hexadecimal digits.
    hash: &'a str,
}

impl Wanted<'_> {
    /// Makes the part a whole and verified file, from the mirror if there is one.
    fn take(&self, mirror: Option<&Origin>, url: &str, report: Report) -> Result<(), DownloadError> {
        match mirror.map(|mirror| self.take_from(mirror, report)) {
            // A mirror on the network need not have every file.
            None | Some(Err(DownloadError::Status { status: 404, .. })) => self.take_from(&Origin::of_url(url), report),
            Some(taken) => taken,
        }
    }

    /// Makes the part a whole and verified file.
    fn take_from(&self, origin: &Origin, report: Report) -> Result<(), DownloadError> {
        match origin {
            Origin::Local(path) => {
                self.copy(path, report)?;
                self.verify(&path.display().to_string())
            }
            Origin::Remote(url) => {
                let resumed = receive(&self.target, url, report)?;
                match self.verify(url) {
                    // The part may be the beginning of another file, from before the address changed.
                    Err(DownloadError::WrongHash { .. }) if resumed => {
                        receive(&self.target, url, report)?;
                        self.verify(url)
                    }
                    result => result,
                }
            }
        }
    }

    fn copy(&self, from: &Path, report: Report) -> Result<(), DownloadError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| DownloadError::File { path, source }
        };
        let mut source = File::open(from).map_err(failed(from))?;
        let total = source.metadata().map_err(failed(from))?.len();
        let mut part = File::create(self.target.part).map_err(failed(self.target.part))?;
        let mut buffer = vec![0; 256 << 10];
        let mut done = 0;
        loop {
            let read = source.read(&mut buffer).map_err(failed(from))?;
            if read == 0 {
                return part.sync_all().map_err(failed(self.target.part));
            }
            part.write_all(&buffer[..read]).map_err(failed(self.target.part))?;
            done += read as u64;
            report(done, Some(total));
        }
    }

    /// Whether the part is the file asked for; if not, it is removed.
    fn verify(&self, place: &str) -> Result<(), DownloadError> {
        let found = hash_of(self.target.part)?;
        if found == self.hash {
            return Ok(());
        }
        std::fs::remove_file(self.target.part).map_err(|source| self.target.file_error(source))?;
        Err(DownloadError::WrongHash { place: place.to_owned(), expected: self.hash.to_owned(), found })
    }
}

fn rename(from: &Path, to: &Path) -> Result<(), DownloadError> {
    std::fs::rename(from, to).map_err(|source| DownloadError::File { path: to.to_owned(), source })
}

/// SHA-256 of a file, in lower-case hexadecimal digits.
fn hash_of(path: &Path) -> Result<String, DownloadError> {
    let failed = |source| DownloadError::File { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(failed)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        let read = file.read(&mut buffer).map_err(failed)?;
        if read == 0 {
            return Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect());
        }
        hasher.update(&buffer[..read]);
    }
}
