//! From `[data]` to a corpus: the files found or fetched, and counted.

use std::path::{Path, PathBuf};

use super::pairs::Pairs;
use super::source::Cut;
use super::{BuiltinCorpus, Corpus, CorpusError, DataConfig, FileConfig, download, file, mirror};

/// How far opening a corpus is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenProgress {
    /// Bytes fetched, and in all if the other side says.
    Downloading {
        /// So far.
        received: u64,
        /// In all.
        total: Option<u64>,
    },
    /// Bytes whose characters are counted.
    Counting {
        /// So far.
        done: u64,
        /// In all.
        total: u64,
    },
}

impl DataConfig {
    /// Finds the text, fetching it into `cache` if need be, and counts its characters.
    ///
    /// # Errors
    /// Files that are missing, not text, or empty; a download that fails.
    pub fn open(&self, cache: &Path, report: &mut dyn FnMut(OpenProgress)) -> Result<Corpus, CorpusError> {
        let fraction = self.validation_fraction;
        if let Some(pairs) = Pairs::open(self)? {
            return Ok(Corpus::of_pairs(pairs));
        }
        if let Some(config) = &self.builtin {
            return Corpus::of_tales(BuiltinCorpus::new(config), fraction);
        }
        let files = match &self.download {
            Some(config) => {
                let mirror = mirror::from_environment();
                let path = download::fetch(config, cache, mirror.as_deref(), &mut |received, total| {
                    report(OpenProgress::Downloading { received, total });
                })?;
                file::Files::of_download(file::TextFile::new(&path)?, self)?
            }
            None => file::Files::find(self)?,
        };
        let cut = match (self.every(), &self.validation_files) {
            (Some(every), _) => Cut::Every(every),
            (None, Some(_)) => Cut::Files(files.training),
            (None, None) => Cut::Fraction(fraction),
        };
        Corpus::of_files(files.all, self.separator.as_deref(), cut, &mut |done, total| {
            report(OpenProgress::Counting { done, total });
        })
    }
}

/// Opens whole files as one training split, to evaluate a model on them, cut into documents at `separator`.
///
/// # Errors
/// Files that are missing, not text, or empty.
pub fn open_files(
    paths: &[PathBuf],
    separator: Option<&str>,
    report: &mut dyn FnMut(OpenProgress),
) -> Result<Corpus, CorpusError> {
    let paths = paths.iter().map(|path| path.to_string_lossy().into_owned()).collect();
    let config = DataConfig { file: Some(FileConfig { paths }), ..DataConfig::default() };
    let files = file::Files::find(&config)?.all;
    Corpus::of_files(files, separator, Cut::Fraction(0.0), &mut |done, total| {
        report(OpenProgress::Counting { done, total });
    })
}
