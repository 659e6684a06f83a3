//! Reading and verifying a file in one pass.

use std::io::{self, ErrorKind, Read, Seek, SeekFrom};

use crate::files::ReadFile;

/// A file whose content is hashed while it is read, in whatever order that is; a file that is read from its start to
/// its end is read once.
pub struct HashedFile {
    file: Box<dyn ReadFile>,
    hasher: blake3::Hasher,
    position: u64,
    length: u64,
}

impl HashedFile {
    /// Hashes `file`, which has `length` bytes and is at its start.
    pub(crate) fn new(file: Box<dyn ReadFile>, length: u64) -> Self {
        Self { file, hasher: blake3::Hasher::new(), position: 0, length }
    }

    /// How many bytes it had when it was opened.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Reads what was not read yet; gives how many bytes there are, and their hash.
    pub(crate) fn finish(mut self) -> io::Result<(u64, blake3::Hash)> {
        if self.position != self.hasher.count() {
            self.file.seek(SeekFrom::Start(self.hasher.count()))?;
        }
        self.hasher.update_reader(self.file)?;
        Ok((self.hasher.count(), self.hasher.finalize()))
    }

    /// Hashes what was skipped, up to the present position.
    fn catch_up(&mut self) -> io::Result<()> {
        let hashed = self.hasher.count();
        if self.position > hashed {
            self.file.seek(SeekFrom::Start(hashed))?;
            let skipped = self.position - hashed;
            self.hasher.update_reader((&mut self.file).take(skipped))?;
            if self.hasher.count() != self.position {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }
}

impl Read for HashedFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.catch_up()?;
        let taken = self.file.read(buffer)?;
        // What was read before is hashed already.
        let known = ((self.hasher.count() - self.position) as usize).min(taken);
        self.hasher.update(&buffer[known..taken]);
        self.position += taken as u64;
        Ok(taken)
    }
}

impl Seek for HashedFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.position = self.file.seek(to)?;
        Ok(self.position)
    }
}
