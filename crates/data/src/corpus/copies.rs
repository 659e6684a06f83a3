//! Files of a text that hold the same bytes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::file::TextFile;
use super::{CorpusError, DataConfig};

/// Bytes of files of the same size that are compared before the files are read to their ends.
const BEGINNING: u64 = 64 << 10;

/// A file with the bytes of another one before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopiedFile {
    /// The copy.
    pub path: PathBuf,
    /// What it is a copy of.
    pub of: PathBuf,
    /// Whether the copy is one of `validation-files`, and what it is a copy of is trained on.
    pub validates: bool,
}

impl DataConfig {
    /// The files of the text on this machine that hold what one before them holds. Only files of one size are read, and
    /// to their ends only where they begin alike.
    ///
    /// # Errors
    /// Files that are missing or cannot be read.
    pub fn copies(&self, cache: &Path) -> Result<Vec<CopiedFile>, CorpusError> {
        let Some(files) = self.files_here(cache)? else { return Ok(Vec::new()) };
        let (all, training) = (&files.all, files.training);
        let with_text = (0..all.len()).filter(|index| all[*index].bytes > 0).collect();
        let mut copies = Vec::new();
        for of_size in alike(with_text, |index| Ok(all[index].bytes))? {
            for beginning in alike(of_size, |index| hash(&all[index], BEGINNING))? {
                for same in alike(beginning, |index| hash(&all[index], u64::MAX))? {
                    copies.extend(same[1..].iter().map(|copy| (*copy, same[0])));
                }
            }
        }
        copies.sort_unstable();
        let copied = |(copy, of): (usize, usize)| CopiedFile {
            path: all[copy].path.clone(),
            of: all[of].path.clone(),
            validates: of < training && training <= copy,
        };
        Ok(copies.into_iter().map(copied).collect())
    }
}

/// Groups of at least two of `indices`, in their order, with the same key.
fn alike<K: Ord>(
    indices: Vec<usize>,
    key: impl Fn(usize) -> Result<K, CorpusError>,
) -> Result<Vec<Vec<usize>>, CorpusError> {
    let mut groups: BTreeMap<K, Vec<usize>> = BTreeMap::new();
    for index in indices {
        groups.entry(key(index)?).or_default().push(index);
    }
    Ok(groups.into_values().filter(|group| group.len() > 1).collect())
}

/// BLAKE3 of the first bytes of a file.
fn hash(file: &TextFile, bytes: u64) -> Result<[u8; 32], CorpusError> {
    let failed = |source| CorpusError::Read { path: file.path.clone(), source };
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(&file.path).map_err(failed)?.take(bytes)).map_err(failed)?;
    Ok(*hasher.finalize().as_bytes())
}
