//! Tests of tokens on disk.

mod conversations;
mod file;
mod hostile;
mod preparing;

use std::path::Path;

use super::{TextIdentity, TokenFile, TokenFileWriter};

pub(super) const TOKENIZER: [u8; 32] = [7; 32];

pub(super) fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// A file of these tokens.
pub(super) fn write(path: &Path, vocabulary: usize, tokens: &[u32]) -> TokenFile {
    let mut writer = TokenFileWriter::create(path, TOKENIZER, vocabulary).expect("the folder can be written");
    for tokens in tokens.chunks(1000) {
        writer.push(tokens).expect("the tokens are in the vocabulary");
    }
    let identity = TextIdentity { bytes: 3 * tokens.len() as u64, characters: 2 * tokens.len() as u64, hash: [9; 32] };
    writer.finish(identity).expect("the folder can be written")
}

/// All tokens of a file.
pub(super) fn read(file: &TokenFile) -> Vec<u32> {
    let mut tokens = vec![0; file.len() as usize];
    file.read(0, &mut tokens).expect("all of it can be read");
    tokens
}
