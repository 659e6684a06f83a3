//! Writing a token file: beside its name, flushed to the disk, and then renamed.

use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::file::narrow;
use super::header::{self, Header, LENGTH};
use super::{ShardError, TokenFile};

/// What a token file says about the text that it encodes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TextIdentity {
    /// UTF-8 bytes.
    pub bytes: u64,
    /// Characters.
    pub characters: u64,
    /// BLAKE3 of the text.
    pub hash: [u8; 32],
}

/// Writes tokens in the order they come. A writer that is dropped before [`TokenFileWriter::finish`] leaves nothing.
#[derive(Debug)]
pub struct TokenFileWriter {
    path: PathBuf,
    beside: PathBuf,
    file: Option<BufWriter<File>>,
    tokenizer: [u8; 32],
    vocabulary: u64,
    tokens: u64,
    data: blake3::Hasher,
}

impl TokenFileWriter {
    /// Begins a file at `path` for the tokens of the tokenizer with this hash and vocabulary.
    ///
    /// # Errors
    /// What the system says about writing there.
    pub fn create(path: &Path, tokenizer: [u8; 32], vocabulary: usize) -> Result<Self, ShardError> {
        let mut beside = path.as_os_str().to_owned();
        beside.push(".part");
        let beside = PathBuf::from(beside);
        let failed = |source| ShardError::Write { path: path.to_owned(), source };
        let mut file = BufWriter::with_capacity(1 << 20, File::create(&beside).map_err(failed)?);
        file.write_all(&[0; LENGTH]).map_err(failed)?;
        let (path, vocabulary) = (path.to_owned(), vocabulary as u64);
        Ok(Self { path, beside, file: Some(file), tokenizer, vocabulary, tokens: 0, data: blake3::Hasher::new() })
    }

    /// Appends tokens.
    ///
    /// # Errors
    /// A token beyond the vocabulary; a full disk.
    pub fn push(&mut self, tokens: &[u32]) -> Result<(), ShardError> {
        if let Some(position) = tokens.iter().position(|token| u64::from(*token) >= self.vocabulary) {
            let index = self.tokens + position as u64;
            let offset = LENGTH as u64 + index * header::width(self.vocabulary) as u64;
            let (path, vocabulary) = (self.path.clone(), self.vocabulary);
            return Err(ShardError::TokenOutOfRange { path, index, offset, token: tokens[position], vocabulary });
        }
        let bytes = narrow(tokens, header::width(self.vocabulary));
        self.data.update(&bytes);
        self.tokens += tokens.len() as u64;
        let written = self.file.as_mut().map_or(Ok(()), |file| file.write_all(&bytes));
        written.map_err(|source| ShardError::Write { path: self.path.clone(), source })
    }

    /// Makes the file whole and opens it.
    ///
    /// # Errors
    /// A full disk, or what else the system says.
    pub fn finish(mut self, text: TextIdentity) -> Result<TokenFile, ShardError> {
        let header = Header {
            vocabulary: self.vocabulary,
            tokens: self.tokens,
            bytes: text.bytes,
            characters: text.characters,
            tokenizer: self.tokenizer,
            text: text.hash,
            data: *self.data.finalize().as_bytes(),
        };
        self.complete(&header).map_err(|source| ShardError::Write { path: self.path.clone(), source })?;
        TokenFile::open(&self.path, &self.tokenizer)
    }

    fn complete(&mut self, header: &Header) -> std::io::Result<()> {
        let Some(mut file) = self.file.take() else { return Ok(()) };
        let written = file.seek(SeekFrom::Start(0)).and_then(|_| file.write_all(&header.to_bytes()));
        let written = written.and_then(|()| file.flush()).and_then(|()| file.get_ref().sync_all());
        let renamed = written.and_then(|()| std::fs::rename(&self.beside, &self.path));
        if renamed.is_err() {
            let _ = std::fs::remove_file(&self.beside);
        }
        renamed.and_then(|()| sync_folder(&self.path))
    }
}

impl Drop for TokenFileWriter {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            let _ = std::fs::remove_file(&self.beside);
        }
    }
}

/// A new name is on the disk only when its folder is.
#[cfg(unix)]
fn sync_folder(path: &Path) -> std::io::Result<()> {
    path.parent().map_or(Ok(()), |folder| {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        File::open(folder)?.sync_all()
    })
}

/// Folders cannot be opened there.
#[cfg(not(unix))]
fn sync_folder(_path: &Path) -> std::io::Result<()> {
    Ok(())
}
