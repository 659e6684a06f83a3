//! What tokens are spelled like, where decoding is no more than joining them.

/// The bytes of every token, one behind another.
#[derive(Debug)]
pub(super) struct Spelling {
    bytes: Vec<u8>,
    /// Where the bytes of each token start and end; `None` for numbers that aren't tokens.
    places: Vec<Option<(u32, u32)>>,
}

impl Spelling {
    pub(super) fn new(tokens: impl Iterator<Item = Option<Vec<u8>>>) -> Self {
        let mut bytes = Vec::new();
        let places = tokens.map(|token| {
            let start = bytes.len() as u32;
            bytes.extend(token?);
            Some((start, bytes.len() as u32))
        });
        let places = places.collect();
        Self { bytes, places }
    }

    /// The bytes of `token`; of a number that isn't a token, those of U+FFFD.
    pub(super) fn bytes(&self, token: u32) -> &[u8] {
        let place = self.places.get(token as usize).copied().flatten();
        place.map_or("\u{FFFD}".as_bytes(), |(start, end)| &self.bytes[start as usize..end as usize])
    }

    /// The bytes of `token`, if it is one.
    pub(super) fn known(&self, token: u32) -> Option<&[u8]> {
        self.places.get(token as usize).copied().flatten().map(|_| self.bytes(token))
    }

    pub(super) fn decode(&self, tokens: &[u32]) -> String {
        let bytes: Vec<u8> = tokens.iter().flat_map(|token| self.bytes(*token)).copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}
