//! The byte-level alphabet of GPT-2: one printable character for each byte.
//!
//! Printable bytes of Latin-1 stand for themselves, the others for the characters from U+0100 on in order (Radford et
//! al. 2019, `bytes_to_unicode`).

use std::sync::LazyLock;

/// The character of each byte.
static CHARACTERS: LazyLock<[char; 256]> = LazyLock::new(|| {
    let mut next = 0x100_u32;
    std::array::from_fn(|byte| {
        let byte = byte as u8;
        if matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF) {
            return char::from(byte);
        }
        next += 1;
        char::from_u32(next - 1).unwrap_or(char::REPLACEMENT_CHARACTER)
    })
});

/// The byte of each character below U+0144, if it stands for one.
static BYTES: LazyLock<[Option<u8>; 0x144]> = LazyLock::new(|| {
    let mut bytes = [None; 0x144];
    for (byte, character) in CHARACTERS.iter().enumerate() {
        bytes[*character as usize] = Some(byte as u8);
    }
    bytes
});

/// The character that stands for `byte`.
pub(super) fn character(byte: u8) -> char {
    CHARACTERS[usize::from(byte)]
}

/// `text` with each byte of its UTF-8 made one character.
pub(super) fn spell(text: &str) -> String {
    text.bytes().map(character).collect()
}

/// The bytes that a token stands for: one a character, or the UTF-8 of the whole where a character is not of the
/// alphabet (special tokens with spaces in them, for instance).
pub(super) fn bytes_of(token: &str) -> Vec<u8> {
    let byte = |character: char| BYTES.get(character as usize).copied().flatten();
    token.chars().map(byte).collect::<Option<Vec<u8>>>().unwrap_or_else(|| token.as_bytes().to_vec())
}
