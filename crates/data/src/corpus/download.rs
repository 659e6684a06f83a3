//! Fetching a file once: into the cache folder, resumed, verified, and then renamed.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::DownloadConfig;
use super::mirror::{self, MIRROR_VARIABLE, Origin};
use super::transfer;
use crate::shards::FolderLock;

/// What can go wrong with a download.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DownloadError {
    /// The other side could not be reached, or said nothing sensible.
    #[error("cannot download {url}: {reason}; {}", by_hand(name))]
    Unreachable {
        /// The address.
        url: String,
        /// What failed.
        reason: String,
        /// Name of the file.
        name: String,
    },
    /// The other side refused.
    #[error("cannot download {url}: the server answered {status}; {}", by_hand(name))]
    Status {
        /// The address.
        url: String,
        /// The HTTP status.
        status: u16,
        /// Name of the file.
        name: String,
    },
    /// The connection broke again and again.
    #[error(
        "the download of {url} broke off after {received} bytes ({reason}); run the same command again, it goes on from there"
    )]
    Interrupted {
        /// The address.
        url: String,
        /// Bytes there now.
        received: u64,
        /// What failed.
        reason: String,
    },
    /// What arrived is not what was asked for.
    #[error(
        "{place} is not the file that the configuration asks for: its SHA-256 is {found}, and `data.download.sha256` says {expected}"
    )]
    WrongHash {
        /// The address or the file on a mirror.
        place: String,
        /// As configured.
        expected: String,
        /// As computed.
        found: String,
    },
    /// The cache folder cannot be written, or a local file not be read.
    #[error("cannot use {}: {source}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The mirror that the environment names is not there.
    #[error("{reason}; unset {MIRROR_VARIABLE}, or name a file, a folder or an address")]
    Mirror {
        /// What is wrong.
        reason: String,
    },
}

fn by_hand(name: &str) -> String {
    format!("get the file {name} by other means and set {MIRROR_VARIABLE} to the folder that holds it")
}

/// Called with bytes received and, if known, bytes in all.
pub(super) type Report<'a> = &'a mut dyn FnMut(u64, Option<u64>);

/// The path of the verified file in `cache`, fetched from `mirror` or the address if it is not there yet.
pub(super) fn fetch(
    config: &DownloadConfig,
    cache: &Path,
    mirror: Option<&str>,
    report: Report,
) -> Result<PathBuf, DownloadError> {
    let expected = config.sha256.to_ascii_lowercase();
    let folder = cache.join("downloads").join(&expected);
    std::fs::create_dir_all(&folder).map_err(|source| DownloadError::File { path: folder.clone(), source })?;
    // Two runs that start together must not write into the same part.
    let _lock = FolderLock::acquire(&folder).map_err(|source| DownloadError::File { path: folder.clone(), source })?;
    let path = folder.join(config.file_name());
    if path.is_file() && hash_of(&path)? == expected {
        return Ok(path);
    }
    let part = folder.join(format!("{}.part", config.file_name()));
    let target = Target { config, expected: &expected, part: &part };
    match mirror_origin(config, mirror)? {
        Some(origin) => match target.take_from(&origin, report) {
            // A mirror on the network need not have every file.
            Err(DownloadError::Status { status: 404, .. }) => target.take_from(&Origin::of_url(&config.url), report)?,
            result => result?,
        },
        None => target.take_from(&Origin::of_url(&config.url), report)?,
    }
    rename(&part, &path)?;
    Ok(path)
}

fn mirror_origin(config: &DownloadConfig, mirror: Option<&str>) -> Result<Option<Origin>, DownloadError> {
    let Some(mirror) = mirror else { return Ok(None) };
    mirror::origin(mirror, config.file_name()).map_err(|reason| DownloadError::Mirror { reason })
}

/// What is being fetched, and where it grows.
pub(super) struct Target<'a> {
    pub(super) config: &'a DownloadConfig,
    expected: &'a str,
    pub(super) part: &'a Path,
}

impl Target<'_> {
    /// Makes the part a whole and verified file.
    fn take_from(&self, origin: &Origin, report: Report) -> Result<(), DownloadError> {
        match origin {
            Origin::Local(path) => {
                self.copy(path, report)?;
                self.verify(&path.display().to_string())
            }
            Origin::Remote(url) => {
                let resumed = transfer::receive(self, url, report)?;
                match self.verify(url) {
                    // The part may be the beginning of another file, from before the address changed.
                    Err(DownloadError::WrongHash { .. }) if resumed => {
                        transfer::receive(self, url, report)?;
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
        let mut part = File::create(self.part).map_err(failed(self.part))?;
        let mut buffer = vec![0; 256 << 10];
        let mut done = 0;
        loop {
            let read = source.read(&mut buffer).map_err(failed(from))?;
            if read == 0 {
                return part.sync_all().map_err(failed(self.part));
            }
            part.write_all(&buffer[..read]).map_err(failed(self.part))?;
            done += read as u64;
            report(done, Some(total));
        }
    }

    /// Whether the part is the file asked for; if not, it is removed.
    fn verify(&self, place: &str) -> Result<(), DownloadError> {
        let found = hash_of(self.part)?;
        if found == self.expected {
            return Ok(());
        }
        std::fs::remove_file(self.part).map_err(|source| self.file_error(source))?;
        Err(DownloadError::WrongHash { place: place.to_owned(), expected: self.expected.to_owned(), found })
    }

    pub(super) fn file_error(&self, source: std::io::Error) -> DownloadError {
        DownloadError::File { path: self.part.to_owned(), source }
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
