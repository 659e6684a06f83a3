//! A token file, opened for reading, or the same in memory.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kiln_models::{DocumentStarts, Tokenizer, TokenizerError};
use kiln_settings::files::{Links, open_regular};

use super::examples::{ExampleReading, Examples, marks};
use super::header::{Header, LENGTH, width};
use super::{MARKS, ShardError, TextIdentity};

/// How many tokens are read at a time.
const BLOCK: usize = 16 << 10;

/// A file of tokens. Cheap to clone, and free to read from many threads at once.
///
/// # Examples
/// ```
/// use kiln_data::shards::{TextIdentity, TokenFile, TokenFileWriter};
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("tokens");
/// // The hash of a tokenizer with a vocabulary of 256.
/// let tokenizer = [7; 32];
/// let mut writer = TokenFileWriter::create(&path, tokenizer, 256)?;
/// writer.push(&[104, 101, 108, 108, 111])?;
/// writer.finish(TextIdentity { bytes: 5, characters: 5, hash: [0; 32] })?;
///
/// let file = TokenFile::open_verified(&path, &tokenizer)?;
/// let mut middle = [0; 3];
/// file.read(1, &mut middle)?;
/// assert_eq!((file.len(), middle), (5, [101, 108, 108]));
/// assert!(TokenFile::open(&path, &[8; 32]).is_err(), "it was made by another tokenizer");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct TokenFile {
    inner: Arc<Inner>,
    /// What stands before the tokens of the text.
    start: Arc<[u32]>,
    /// The token that ends documents, where a recurrent state is not to go beyond them.
    resets_at: Option<u32>,
    /// Its examples, where it isn't one text.
    examples: Option<Arc<Examples>>,
    /// The token that ends sources and targets, where the text is made of them.
    pairs_end: Option<u32>,
    /// The log-probability of each example under the reference model.
    references: Option<Arc<[f32]>>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    tokens: Tokens,
    header: Header,
}

/// Where the tokens are.
#[derive(Debug)]
enum Tokens {
    /// After the header of a file.
    File(File),
    /// In memory, as they would stand in the file.
    Memory(Vec<u8>),
}

impl TokenFile {
    /// The tokens of `text`, without a file.
    ///
    /// # Errors
    /// Text that the tokenizer cannot encode.
    pub fn in_memory(text: &str, tokenizer: &Tokenizer) -> Result<Self, TokenizerError> {
        let (tokens, vocabulary) = (tokenizer.encode(text)?, tokenizer.vocabulary_size());
        let text = TextIdentity {
            bytes: text.len() as u64,
            characters: text.chars().count() as u64,
            hash: *blake3::hash(text.as_bytes()).as_bytes(),
        };
        Ok(Self::of_tokens(&tokens, vocabulary, tokenizer.hash(), text))
    }

    /// Examples without a file: the tokens of each, and for each token whether it is predicted, which the first is not.
    ///
    /// # Errors
    /// A first token that is predicted.
    pub fn examples_in_memory(
        examples: &[(Vec<u32>, Vec<bool>)],
        tokenizer: &Tokenizer,
        reading: ExampleReading,
    ) -> Result<Self, ShardError> {
        let tokens = examples.iter().flat_map(|(tokens, _)| tokens).copied().collect::<Vec<u32>>();
        let marks = examples.iter().flat_map(|(_, counted)| marks(counted)).collect::<Vec<u32>>();
        let (hash, text) = (tokenizer.hash(), TextIdentity::default());
        let marks = Self::of_tokens(&marks, MARKS, hash, text);
        Self::of_tokens(&tokens, tokenizer.vocabulary_size(), hash, text).with_examples(marks, reading)
    }

    fn of_tokens(tokens: &[u32], vocabulary: usize, tokenizer: [u8; 32], text: TextIdentity) -> Self {
        let vocabulary = vocabulary as u64;
        let bytes = narrow(tokens, width(vocabulary));
        let header = Header {
            vocabulary,
            tokens: tokens.len() as u64,
            bytes: text.bytes,
            characters: text.characters,
            tokenizer,
            text: text.hash,
            data: *blake3::hash(&bytes).as_bytes(),
        };
        let path = PathBuf::from("text in memory");
        Self::of(Inner { path, tokens: Tokens::Memory(bytes), header })
    }

    fn of(inner: Inner) -> Self {
        Self {
            inner: Arc::new(inner),
            start: Arc::default(),
            resets_at: None,
            examples: None,
            pairs_end: None,
            references: None,
        }
    }

    /// The same tokens as examples, as `marks` says: they are batched by example, and none sees another.
    ///
    /// # Errors
    /// When the marks can't be read, or aren't those of these tokens.
    pub fn with_examples(self, marks: Self, reading: ExampleReading) -> Result<Self, ShardError> {
        let examples = Examples::new(&self, marks, reading)?;
        Ok(Self { examples: Some(Arc::new(examples)), ..self })
    }

    /// The same pairs of examples with the log-probability of each of both under a reference model; nothing where these
    /// are of another number.
    #[must_use]
    pub fn with_references(self, references: Vec<f32>) -> Option<Self> {
        let rows = self.examples().map(|examples| examples.count() * examples.rows())?;
        (rows == references.len() as u64).then(|| Self { references: Some(references.into()), ..self })
    }

    pub(crate) fn references(&self) -> Option<&[f32]> {
        self.references.as_deref()
    }

    /// Whether its examples are pairs whose log-probabilities under a reference model are known.
    pub fn has_references(&self) -> bool {
        self.references.is_some()
    }

    /// The examples, where it isn't one text.
    pub fn examples(&self) -> Option<&Examples> {
        self.examples.as_deref()
    }

    /// How many tokens are predicted in a pass: of a text all, of examples those that count.
    pub fn predicted(&self) -> u64 {
        self.examples().map_or_else(|| self.text_len(), Examples::counted)
    }

    /// Opens the file at `path`, if it is whole and was made by the tokenizer with this hash.
    ///
    /// # Errors
    /// A file that cannot be read, is damaged or cut short, or comes from another tokenizer.
    pub fn open(path: &Path, tokenizer: &[u8; 32]) -> Result<Self, ShardError> {
        let opened = Self::open_any(path)?;
        if &opened.inner.header.tokenizer != tokenizer {
            return Err(ShardError::WrongTokenizer {
                path: path.to_owned(),
                expected: blake3::Hash::from_bytes(*tokenizer).to_hex().to_string(),
                found: blake3::Hash::from_bytes(opened.inner.header.tokenizer).to_hex().to_string(),
            });
        }
        Ok(opened)
    }

    /// Opens a file as [`TokenFile::open`] does, and reads all of it, so that not even a single changed token goes
    /// unnoticed.
    ///
    /// # Errors
    /// As [`TokenFile::open`], and tokens that are not those that were written.
    pub fn open_verified(path: &Path, tokenizer: &[u8; 32]) -> Result<Self, ShardError> {
        let opened = Self::open(path, tokenizer)?;
        opened.verify()?;
        Ok(opened)
    }

    /// Opens a file of whatever tokenizer.
    pub(super) fn open_any(path: &Path) -> Result<Self, ShardError> {
        let failed = |source| ShardError::Read { path: path.to_owned(), source };
        let invalid = |reason| ShardError::Invalid { path: path.to_owned(), reason };
        let opened = open_regular(path, Links::Followed).map_err(failed)?;
        let mut file = opened.ok_or_else(|| invalid("it is not a file".to_owned()))?;
        let length = file.metadata().map_err(failed)?.len();
        if length < LENGTH as u64 {
            return Err(invalid(format!("it is {length} bytes long, less than its header")));
        }
        let mut bytes = [0; LENGTH];
        file.read_exact(&mut bytes).map_err(failed)?;
        let header = Header::parse(&bytes, length).map_err(invalid)?;
        let path = path.to_owned();
        Ok(Self::of(Inner { path, tokens: Tokens::File(file), header }))
    }

    /// The same tokens, before each `token` of which batches say that a document starts: there a recurrent state begins
    /// anew.
    #[must_use]
    pub fn resetting_at(self, token: Option<u32>) -> Self {
        Self { resets_at: token, ..self }
    }

    /// The same tokens as sources and targets in turn, each of which ends with `end`.
    #[must_use]
    pub fn of_pairs(self, end: Option<u32>) -> Self {
        Self { pairs_end: end, ..self }
    }

    /// The token that ends sources and targets, where the text is made of them.
    pub fn pairs_end(&self) -> Option<u32> {
        self.pairs_end
    }

    /// The same tokens behind `start`, with which a published model begins every text: read, and not predicted.
    #[must_use]
    pub fn behind(self, start: &[u32]) -> Self {
        Self { start: start.into(), ..self }
    }

    /// How many tokens stand before those of the text.
    pub fn start_len(&self) -> u64 {
        self.start.len() as u64
    }

    /// Where documents start in windows of `columns` tokens.
    pub(crate) fn document_starts(&self, inputs: &[i32], columns: usize) -> DocumentStarts {
        self.resets_at.map_or_else(DocumentStarts::default, |token| DocumentStarts::find(inputs, columns, token))
    }

    /// How many tokens there are, the start among them.
    #[allow(clippy::len_without_is_empty, reason = "a token file is made of text, which is not empty")]
    pub fn len(&self) -> u64 {
        self.start_len() + self.text_len()
    }

    /// How many tokens the text has.
    pub fn text_len(&self) -> u64 {
        self.inner.header.tokens
    }

    /// Fills `tokens` with those from number `start` on.
    ///
    /// # Errors
    /// More tokens than there are, a file that was shortened since it was opened, and a token beyond the vocabulary.
    pub fn read(&self, start: u64, tokens: &mut [u32]) -> Result<(), ShardError> {
        let count = tokens.len() as u64;
        if start.checked_add(count).is_none_or(|end| end > self.len()) {
            let path = self.inner.path.clone();
            return Err(ShardError::OutOfBounds { path, tokens: self.len(), start, count });
        }
        let (before, text) = tokens.split_at_mut(self.start_len().saturating_sub(start).min(count) as usize);
        if !before.is_empty() {
            before.copy_from_slice(&self.start[start as usize..][..before.len()]);
        }
        self.read_text(start.saturating_sub(self.start_len()), text)
    }

    /// Fills `tokens` with those of the text from number `start` on.
    fn read_text(&self, start: u64, tokens: &mut [u32]) -> Result<(), ShardError> {
        let width = self.inner.header.width();
        let mut bytes = vec![0; width * tokens.len().min(BLOCK)];
        let mut position = start;
        for block in tokens.chunks_mut(BLOCK) {
            let bytes = &mut bytes[..width * block.len()];
            self.read_bytes(position, bytes)?;
            widen(bytes, width, block);
            self.check(position, block)?;
            position += block.len() as u64;
        }
        Ok(())
    }

    /// Fills `bytes` with those of the tokens from number `start` on.
    fn read_bytes(&self, start: u64, bytes: &mut [u8]) -> Result<(), ShardError> {
        let offset = self.offset_of(start);
        let file = match &self.inner.tokens {
            Tokens::File(file) => file,
            Tokens::Memory(tokens) => {
                let first = (offset - LENGTH as u64) as usize;
                bytes.copy_from_slice(&tokens[first..first + bytes.len()]);
                return Ok(());
            }
        };
        read_at(file, bytes, offset).map_err(|source| {
            let source = std::io::Error::new(source.kind(), format!("at byte {offset}: {source}"));
            ShardError::Read { path: self.inner.path.clone(), source }
        })
    }

    /// Where token number `index` stands in the file, in bytes.
    fn offset_of(&self, index: u64) -> u64 {
        LENGTH as u64 + index * self.inner.header.width() as u64
    }

    fn check(&self, start: u64, tokens: &[u32]) -> Result<(), ShardError> {
        let vocabulary = self.inner.header.vocabulary;
        match tokens.iter().position(|token| u64::from(*token) >= vocabulary) {
            None => Ok(()),
            Some(position) => {
                let index = start + position as u64;
                let (path, offset) = (self.inner.path.clone(), self.offset_of(index));
                Err(ShardError::TokenOutOfRange { path, index, offset, token: tokens[position], vocabulary })
            }
        }
    }

    /// Reads every token and compares with the hash in the header.
    ///
    /// # Errors
    /// Tokens that are not those that were written.
    pub fn verify(&self) -> Result<(), ShardError> {
        let mut hasher = blake3::Hasher::new();
        let mut bytes = vec![0; self.inner.header.width() * BLOCK];
        let mut start = 0;
        while start < self.text_len() {
            let count = (self.text_len() - start).min(BLOCK as u64);
            let bytes = &mut bytes[..self.inner.header.width() * count as usize];
            self.read_bytes(start, bytes)?;
            hasher.update(bytes);
            start += count;
        }
        if hasher.finalize().as_bytes() == &self.inner.header.data {
            return Ok(());
        }
        Err(ShardError::Invalid { path: self.inner.path.clone(), reason: "its tokens are damaged".to_owned() })
    }

    /// Where the file is; of a text in memory, words that say so.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// BLAKE3 of the tokens.
    pub fn hash(&self) -> [u8; 32] {
        self.inner.header.data
    }

    /// BLAKE3 of the text that the tokens encode, document separators not counted.
    pub fn text_hash(&self) -> [u8; 32] {
        self.inner.header.text
    }

    /// BLAKE3 of the tokenizer.
    pub fn tokenizer_hash(&self) -> [u8; 32] {
        self.inner.header.tokenizer
    }

    /// How many different tokens there can be.
    pub fn vocabulary_size(&self) -> usize {
        self.inner.header.vocabulary as usize
    }

    /// UTF-8 bytes of the text, what bits per byte are counted in; document separators have none.
    pub fn bytes(&self) -> u64 {
        self.inner.header.bytes
    }

    /// Characters of the text; document separators have none.
    pub fn characters(&self) -> u64 {
        self.inner.header.characters
    }
}

/// Tokens as they stand in the file.
pub(super) fn narrow(tokens: &[u32], width: usize) -> Vec<u8> {
    tokens.iter().flat_map(|token| token.to_le_bytes().into_iter().take(width)).collect()
}

fn widen(bytes: &[u8], width: usize, tokens: &mut [u32]) {
    for (token, bytes) in tokens.iter_mut().zip(bytes.chunks_exact(width)) {
        *token = bytes.iter().rev().fold(0, |token, byte| token << 8 | u32::from(*byte));
    }
}

#[cfg(unix)]
fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

#[cfg(windows)]
fn read_at(file: &File, mut bytes: &mut [u8], mut offset: u64) -> std::io::Result<()> {
    while !bytes.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, bytes, offset)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            read => {
                bytes = &mut bytes[read..];
                offset += read as u64;
            }
        }
    }
    Ok(())
}
