//! Tests of where the text comes from.

mod configuration;
mod download;
mod files;
mod server;
mod splits;

use std::path::Path;

use super::{Corpus, CorpusError, DataConfig, FileConfig, Piece, Split};

/// `[data.file]` with these paths inside `folder`.
pub(super) fn files(folder: &Path, paths: &[&str]) -> DataConfig {
    let paths = paths.iter().map(|path| folder.join(path).to_string_lossy().into_owned()).collect();
    DataConfig { file: Some(FileConfig { paths }), ..DataConfig::default() }
}

pub(super) fn write(folder: &Path, name: &str, text: impl AsRef<[u8]>) {
    std::fs::write(folder.join(name), text).expect("the temporary folder can be written");
}

pub(super) fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

pub(super) fn open(config: &DataConfig) -> Result<Corpus, CorpusError> {
    config.open(Path::new("no cache is needed"), &mut |_| ())
}

/// The text of a split, with `|` for the end of a document.
pub(super) fn text(corpus: &Corpus, split: Split) -> String {
    let piece = |piece| match piece {
        Ok(Piece::Text { text, .. }) => text,
        Ok(Piece::End) => "|".to_owned(),
        Err(error) => panic!("{error}"),
    };
    corpus.pieces(split).map(piece).collect()
}
