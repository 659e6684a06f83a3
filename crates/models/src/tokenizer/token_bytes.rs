//! What single tokens add to a text.

use std::collections::HashSet;

use super::handle::Tokenizer;
use super::pipeline;

impl Tokenizer {
    /// The bytes that each token adds to a text that it stands in, in the order of their numbers; none for special
    /// tokens, which no text spells, and for numbers that aren't tokens.
    pub fn bytes_of_tokens(&self) -> Vec<Vec<u8>> {
        let special: HashSet<u32> = {
            let added = self.0.library.get_added_tokens_decoder();
            added.iter().filter(|(_, token)| token.special).map(|(id, _)| *id).collect()
        };
        let tokens = 0..u32::try_from(self.vocabulary_size()).unwrap_or(u32::MAX);
        let neighbour = self.neighbour(&special);
        let bytes = |token: u32| match (&self.0.spelling, self.0.library.id_to_token(token)) {
            (_, None) => Vec::new(),
            _ if special.contains(&token) => Vec::new(),
            (Some(spelling), _) => spelling.bytes(token).to_vec(),
            (None, Some(name)) => byte_of(&name).map_or_else(|| self.text_behind(&neighbour, token), |byte| vec![byte]),
        };
        tokens.map(bytes).collect()
    }

    /// A token with a text, and that text, for others to stand behind: a decoder may treat the first one otherwise.
    fn neighbour(&self, special: &HashSet<u32>) -> Option<(u32, String)> {
        let tokens = 0..u32::try_from(self.vocabulary_size()).unwrap_or(u32::MAX);
        let mut texts = tokens.filter(|token| !special.contains(token)).map(|token| (token, self.decode(&[token])));
        texts.find(|(_, text)| text.chars().any(char::is_alphanumeric) && !text.contains(char::REPLACEMENT_CHARACTER))
    }

    fn text_behind(&self, neighbour: &Option<(u32, String)>, token: u32) -> Vec<u8> {
        let Some((before, text)) = neighbour else { return self.decode(&[token]).into_bytes() };
        let both = pipeline::decode(&self.0.library, &[*before, token]);
        both.strip_prefix(text.as_str()).map(|text| text.as_bytes().to_vec()).unwrap_or_default()
    }
}

/// The byte that a token of byte fallback stands for: `<0x0A>`.
fn byte_of(name: &str) -> Option<u8> {
    let digits = name.strip_prefix("<0x")?.strip_suffix('>')?;
    (digits.len() == 2).then(|| u8::from_str_radix(digits, 16).ok()).flatten()
}
