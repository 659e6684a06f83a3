//! The first 256 bytes of a token file.
//!
//! | bytes | what | |
//! |---|---|---|
//! | 0..8 | magic | `KILNTOK\n` |
//! | 8..12 | version | 1 |
//! | 12..16 | width: bytes a token, 2 or 4 | |
//! | 16..24 | vocabulary: tokens are below it | |
//! | 24..32 | tokens in the file | |
//! | 32..40 | UTF-8 bytes of the encoded text, document separators not counted | |
//! | 40..48 | characters of the encoded text, likewise | |
//! | 48..80 | BLAKE3 of the tokenizer | |
//! | 80..112 | BLAKE3 of the text | |
//! | 112..144 | BLAKE3 of the tokens as they stand in the file | |
//! | 144..224 | zero | |
//! | 224..256 | BLAKE3 of bytes 0..224 | |
//!
//! All numbers are little-endian. Nothing here is believed before the hash and the length of the file agree with it.

/// Length of the header, in bytes.
pub(super) const LENGTH: usize = 256;

const MAGIC: &[u8; 8] = b"KILNTOK\n";
const VERSION: u32 = 1;
const HASHED: usize = 224;

/// The largest vocabulary whose tokens fit in 16 bits.
const LARGEST_NARROW: u64 = 1 << 16;

/// What a token file says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) vocabulary: u64,
    pub(super) tokens: u64,
    pub(super) bytes: u64,
    pub(super) characters: u64,
    pub(super) tokenizer: [u8; 32],
    pub(super) text: [u8; 32],
    pub(super) data: [u8; 32],
}

/// Bytes a token of this vocabulary takes.
pub(super) fn width(vocabulary: u64) -> usize {
    if vocabulary <= LARGEST_NARROW { 2 } else { 4 }
}

impl Header {
    pub(super) fn width(&self) -> usize {
        width(self.vocabulary)
    }

    pub(super) fn to_bytes(&self) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&(self.width() as u32).to_le_bytes());
        for (index, number) in [self.vocabulary, self.tokens, self.bytes, self.characters].into_iter().enumerate() {
            bytes[16 + 8 * index..24 + 8 * index].copy_from_slice(&number.to_le_bytes());
        }
        bytes[48..80].copy_from_slice(&self.tokenizer);
        bytes[80..112].copy_from_slice(&self.text);
        bytes[112..144].copy_from_slice(&self.data);
        let hash = blake3::hash(&bytes[..HASHED]);
        bytes[HASHED..].copy_from_slice(hash.as_bytes());
        bytes
    }

    /// Reads the header of a file that is `file_length` bytes long.
    pub(super) fn parse(bytes: &[u8; LENGTH], file_length: u64) -> Result<Self, String> {
        if &bytes[..8] != MAGIC {
            return Err("it does not begin as one".to_owned());
        }
        let version = u32::from_le_bytes(array(bytes, 8));
        if version != VERSION {
            return Err(format!("it has version {version}, and this program reads version {VERSION}"));
        }
        if blake3::hash(&bytes[..HASHED]).as_bytes() != &bytes[HASHED..] {
            return Err("its header is damaged".to_owned());
        }
        let number = |start| u64::from_le_bytes(array(bytes, start));
        let header = Self {
            vocabulary: number(16),
            tokens: number(24),
            bytes: number(32),
            characters: number(40),
            tokenizer: array(bytes, 48),
            text: array(bytes, 80),
            data: array(bytes, 112),
        };
        let said = u32::from_le_bytes(array(bytes, 12)) as usize;
        if header.vocabulary == 0 || header.vocabulary > 1 << 32 || said != header.width() {
            return Err(format!("it says {said} bytes a token for a vocabulary of {}", header.vocabulary));
        }
        let needed = header.tokens.checked_mul(said as u64).and_then(|data| data.checked_add(LENGTH as u64));
        if needed != Some(file_length) {
            return Err(format!("it says {} tokens of {said} bytes, but is {file_length} bytes long", header.tokens));
        }
        Ok(header)
    }
}

/// `N` bytes from `start` on.
fn array<const N: usize>(bytes: &[u8; LENGTH], start: usize) -> [u8; N] {
    std::array::from_fn(|index| bytes[start + index])
}
