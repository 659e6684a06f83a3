//! Pairs of texts, a source and what it is translated to: files, or sentences that Kiln writes in two languages.
//!
//! A corpus of pairs gives each source and each target as a document, one after the other; so the tokens of a split are
//! sources and targets in turn, each with the end token behind it.

mod builtin;
mod config;
mod language;
mod reading;
#[cfg(test)]
mod tests;

pub use config::{BuiltinPairsConfig, PairsConfig};
pub use reading::PairFileError;

use std::path::PathBuf;

use super::file::TextFile;
use super::place::Place;
use super::{CorpusError, DataConfig};

/// A source and its target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// What is read.
    pub source: String,
    /// What is to be written.
    pub target: String,
}

/// All pairs of a corpus, in memory.
#[derive(Debug)]
pub(super) struct Pairs {
    /// The pairs, each with the places of its source and of its target.
    pub(super) all: Vec<(Pair, [Place; 2])>,
    /// The files that they come from; none of the built-in ones.
    pub(super) files: Vec<PathBuf>,
    /// How many of them, the first ones, are trained on.
    pub(super) trained: usize,
}

impl Pairs {
    /// Those of a configuration that has some.
    pub(super) fn open(config: &DataConfig) -> Result<Option<Self>, CorpusError> {
        if let Some(builtin) = &config.builtin_pairs {
            let (all, trained) = builtin.write(config.validation_fraction);
            let nowhere = [Place { file: 0, offset: 0 }; 2];
            let all = all.into_iter().map(|pair| (pair, nowhere)).collect();
            return Ok(Some(Self { all, files: Vec::new(), trained }));
        }
        let Some(files) = &config.pairs else { return Ok(None) };
        let found = config.files_of_pairs(files)?;
        let all = reading::read(files, &found)?;
        let (pairs, trained) = (all.len(), (all.len() as f64 * (1.0 - config.validation_fraction)) as usize);
        if trained == 0 || trained == pairs {
            return Err(PairFileError::TooFew { pairs, trained }.into());
        }
        Ok(Some(Self { all, files: found.into_iter().map(|file| file.path).collect(), trained }))
    }
}

impl DataConfig {
    /// The pairs of the built-in corpus in order, those that are trained on first, and how many these are.
    pub fn builtin_pairs(&self) -> Option<(Vec<Pair>, usize)> {
        self.builtin_pairs.as_ref().map(|builtin| builtin.write(self.validation_fraction))
    }

    /// Whether the corpus is one of pairs.
    pub fn has_pairs(&self) -> bool {
        self.pairs.is_some() || self.builtin_pairs.is_some()
    }

    /// The files of pairs: those of `paths`, or that of the sources and that of the targets.
    pub(super) fn files_of_pairs(&self, files: &PairsConfig) -> Result<Vec<TextFile>, CorpusError> {
        let named = files.source.iter().chain(&files.target).cloned();
        let paths: Vec<String> = if files.paths.is_empty() { named.collect() } else { files.paths.clone() };
        super::file::find(&paths, self)
    }
}
